// Pictures, sound and films on their way into a message.

const kTypes = { png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg', webp: 'image/webp', gif: 'image/gif',
  wav: 'audio/wav', mp3: 'audio/mpeg', flac: 'audio/flac', ogg: 'audio/ogg', oga: 'audio/ogg', opus: 'audio/ogg',
  m4a: 'audio/mp4', aac: 'audio/aac', mp4: 'video/mp4', m4v: 'video/mp4', mov: 'video/quicktime', webm: 'video/webm',
  mkv: 'video/x-matroska' };
export const kAccepted = 'image/*,audio/*,video/*';

// {kind, name, type, blob}, or null for what is none of the three.
export function mediumOf(file) {
  const extension = (file.name ?? '').split('.').pop().toLowerCase();
  const type = file.type || kTypes[extension] || '';
  const kind = type.split('/')[0];
  if (!['image', 'audio', 'video'].includes(kind) || type === 'image/svg+xml') return null;
  return { kind, name: file.name || kind, type, blob: file };
}

export function dataUrlOf(blob, type) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(`data:${type};base64,${reader.result.slice(reader.result.indexOf(',') + 1)}`);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

// The part of a message's content, as the OpenAI API has it.
export async function contentPart(medium) {
  const url = await dataUrlOf(medium.blob, medium.type);
  if (medium.kind === 'image') return { type: 'image_url', image_url: { url } };
  if (medium.kind === 'video') return { type: 'video_url', video_url: { url } };
  const format = medium.type.split('/')[1].replace(/^x-/, '').replace('mpeg', 'mp3');
  return { type: 'input_audio', input_audio: { data: url.slice(url.indexOf(',') + 1), format } };
}

// 16-bit mono samples as a WAV file.
function wavOf(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, what) => [...what].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, 'RIFF'); view.setUint32(4, 36 + 2 * samples.length, true); text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, 'data'); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => view.setInt16(44 + 2 * i, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true));
  return new Blob([view], { type: 'audio/wav' });
}

const kModelRate = 16000;  // Hz, what the audio tower hears

// Why there is no microphone here; null if there may be one.
export function microphoneObstacle() {
  if (!window.isSecureContext) return 'Browsers give the microphone only to pages from localhost or over https.';
  if (!navigator.mediaDevices || !window.MediaRecorder) return 'This browser cannot record.';
  return null;
}

// Records until stop(), which gives a medium.
export async function startRecording() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  const pieces = [];
  recorder.ondataavailable = (event) => pieces.push(event.data);
  recorder.start();
  return {
    async stop() {
      await new Promise((resolve) => { recorder.onstop = resolve; recorder.stop(); });
      stream.getTracks().forEach((track) => track.stop());
      const context = new OfflineAudioContext(1, 1, kModelRate);
      const decoded = await context.decodeAudioData(await new Blob(pieces).arrayBuffer());
      const mono = new OfflineAudioContext(1, Math.max(1, Math.ceil(decoded.duration * kModelRate)), kModelRate);
      const source = mono.createBufferSource();
      source.buffer = decoded;
      source.connect(mono.destination);
      source.start();
      const samples = (await mono.startRendering()).getChannelData(0);
      return { kind: 'audio', name: 'recording.wav', type: 'audio/wav', blob: wavOf(samples, kModelRate) };
    },
  };
}
