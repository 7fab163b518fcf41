// Reads GGUF files with somebody else's parser, @huggingface/gguf.
//
//   node scripts/check_gguf.mjs FOLDER FILE.gguf…       FOLDER has the node_modules
//
// Prints what each file holds. Exit status: 0 when every file was read and every tensor lies in its
// file, 1 otherwise.
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [folder, ...files] = process.argv.slice(2);
const require = createRequire(resolve(folder, 'package.json'));
const { gguf, GGMLQuantizationType } = require('@huggingface/gguf');
const kBytes = { F32: 4, F16: 2, BF16: 2, I32: 4 };

for (const file of files) {
  try {
    const { metadata, tensorInfos, tensorDataOffset } = await gguf(resolve(file), { allowLocalFile: true });
    const types = {};
    for (const { name, shape, dtype, offset } of tensorInfos) {
      const type = GGMLQuantizationType[dtype];
      types[type] = (types[type] ?? 0) + 1;
      const bytes = Number(shape.reduce((count, dim) => count * dim, 1n)) * (kBytes[type] ?? 0);
      if (Number(tensorDataOffset) + Number(offset) + bytes > statSync(file).size)
        throw new Error(`tensor ${name} ends behind the file`);
    }
    const counts = Object.entries(types).map(([type, count]) => `${count} ${type}`);
    console.log(`${file}: ${metadata['general.architecture']}, ${counts.join(', ')}`);
  } catch (error) {
    console.log(`${file}: FAILED: ${error.message}`);
    process.exitCode = 1;
  }
}
