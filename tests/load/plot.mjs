// Small SVG plots, without a library.
const width = 640, height = 280, left = 56, bottom = 36, top = 32;
const colours = ['#1f77b4', '#d95f02'];
const x_of = (share) => left + share * (width - left - 16);
const y_of = (share) => height - bottom - share * (height - bottom - top);

function frame(title, body, x_ticks, y_ticks) {
  const text = (x, y, anchor, what) =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${what}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="${width}" height="${height}" fill="#fff"/><text x="${left}" y="18" font-size="13">${title}</text>
<path d="M${left} ${top}V${height - bottom}H${width - 16}" fill="none" stroke="#444"/>
${x_ticks.map(([share, what]) => text(x_of(share), height - bottom + 16, 'middle', what)).join('')}
${y_ticks.map(([share, what]) => text(left - 6, y_of(share) + 4, 'end', what)).join('')}
${body}
</svg>
`;
}

// Lists of positive numbers by name, as shares over a logarithmic axis.
export function histogram(title, lists) {
  const low = 0.1, high = 1e5, bins = 60;
  const place = (value) => Math.min(bins - 1, Math.max(0,
    Math.floor(Math.log(Math.max(value, low) / low) / Math.log(high / low) * bins)));
  const counted = Object.entries(lists).map(([name, list]) => {
    const counts = new Array(bins).fill(0);
    for (const value of list) counts[place(value)] += 1 / list.length;
    return [name, counts];
  });
  const most = Math.max(...counted.flatMap(([, counts]) => counts));
  const body = counted.map(([name, counts], i) => {
    const path = counts.map((count, bin) =>
      `${bin === 0 ? 'M' : 'L'}${x_of((bin + 0.5) / bins).toFixed(1)} ${y_of(count / most).toFixed(1)}`).join('');
    return `<path d="${path}" fill="none" stroke="${colours[i]}" stroke-width="2"/>
<text x="${width - 20}" y="${top + 14 + 14 * i}" text-anchor="end" fill="${colours[i]}">${name}</text>`;
  }).join('');
  return frame(title, body, [0.1, 1, 10, 100, 1000, 10000, 1e5].map((value, i) => [i / 6, value]),
    [[0, '0'], [1, `${(most * 100).toFixed(0)} %`]]);
}

// Points [x, y] as one line; y from 0.
export function lines(title, points) {
  const most_x = Math.max(...points.map(([x]) => x)), most_y = Math.max(...points.map(([, y]) => y)) * 1.1;
  const path = points.map(([x, y], i) =>
    `${i === 0 ? 'M' : 'L'}${x_of(x / most_x).toFixed(1)} ${y_of(y / most_y).toFixed(1)}`).join('');
  return frame(title, `<path d="${path}" fill="none" stroke="${colours[0]}" stroke-width="2"/>`,
    [[0, 0], [0.5, Math.round(most_x / 2)], [1, most_x]], [[0, 0], [1, Math.round(most_y)]]);
}
