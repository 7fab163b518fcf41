// Pictures, sounds and films for the tests of media, made here byte by byte, and a model that takes
// them.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';

export const root = process.env.GEMMA4_SOURCE;  // the checkout, set by scripts/test_clients.sh

// Of PNG; node's own came with 20.15.
function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; ++bit) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function chunk(type, data) {
  const whole = Buffer.alloc(12 + data.length);
  whole.writeUInt32BE(data.length, 0);
  whole.write(type, 4, 'latin1');
  data.copy(whole, 8);
  whole.writeUInt32BE(crc32(whole.subarray(4, 8 + data.length)), 8 + data.length);
  return whole;
}

const kSignature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function header(width, height) {
  const bytes = Buffer.alloc(13);
  bytes.writeUInt32BE(width, 0);
  bytes.writeUInt32BE(height, 4);
  bytes.set([8, 2, 0, 0, 0], 8);  // 8 bits of red, green and blue
  return chunk('IHDR', bytes);
}

// A gradient; `shade` tells pictures of one size apart.
export function png(width, height, shade = 0) {
  const rows = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0; y < height; ++y)
    for (let x = 0; x < 3 * width; ++x) rows[y * (1 + 3 * width) + 1 + x] = (x * 7 + y * 3 + shade) & 255;
  return Buffer.concat([kSignature, header(width, height), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

// Says that it is of this size, and has next to nothing in it.
export function pngBomb(width, height) {
  return Buffer.concat([kSignature, header(width, height), chunk('IDAT', deflateSync(Buffer.alloc(1 << 20))),
    chunk('IEND', Buffer.alloc(0))]);
}

// 16 kHz, one channel, 16 bits
export function wav(samples, pitch = 440) {
  const bytes = Buffer.alloc(44 + 2 * samples);
  bytes.write('RIFF', 0, 'latin1');
  bytes.writeUInt32LE(36 + 2 * samples, 4);
  bytes.write('WAVEfmt ', 8, 'latin1');
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(16000, 24);
  bytes.writeUInt32LE(32000, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36, 'latin1');
  bytes.writeUInt32LE(2 * samples, 40);
  for (let i = 0; i < samples; ++i)
    bytes.writeInt16LE(Math.round(8000 * Math.sin(2 * Math.PI * pitch * i / 16000)), 44 + 2 * i);
  return bytes;
}

// Uncompressed: frames of one grey each, one a second.
export function y4m(width, height, frames) {
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F1:1 Ip A1:1 C444\n`, 'latin1')];
  for (let i = 0; i < frames; ++i)
    parts.push(Buffer.from('FRAME\n', 'latin1'), Buffer.alloc(width * height, 40 * i + 20), Buffer.alloc(2 * width * height, 128));
  return Buffer.concat(parts);
}

export const dataUrl = (type, bytes) => `data:${type};base64,${bytes.toString('base64')}`;

// What the rules for sizes give, for sides that do not meet a block's edge: both are scaled by one factor to fill
// the budget and rounded down to blocks of 48 pixels, each a soft token. Two more tokens begin and end a picture.
export function imageTokens(width, height, budget = 280) {
  const factor = Math.sqrt(budget * 48 * 48 / (width * height));
  return Math.floor(factor * height / 48) * Math.floor(factor * width / 48);
}

// Frames of a spectrogram are 10 ms apart, and four of them are a soft token.
export const soundTokens = (samples) => Math.ceil(Math.floor((samples - 1) / 160) / 4);

// A model with towers for pictures and sounds: the tiny checkpoint with a vocabulary of its own.
export function makeTinyModel() {
  const folder = mkdtempSync(join(tmpdir(), 'gemma4-media-'));
  const path = join(folder, 'tiny-e.gguf');
  execFileSync(process.env.GEMMA4_PROGRAM,
    ['convert', join(root, 'tests/golden/tiny-e'), path, '--synthetic-vocabulary'], { stdio: 'ignore' });
  return { path, remove: () => rmSync(folder, { recursive: true }) };
}
