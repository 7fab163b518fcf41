// A conversation as a file.
import { saveFile } from './dom.js';
import { dataUrlOf } from './media.js';

export const titleOf = (conversation) => conversation.title || 'New chat';

export async function toJson(conversation) {
  const messages = await Promise.all(conversation.messages.map(async (message) => {
    const { pending, ...rest } = message;
    if (!message.media) return rest;
    return { ...rest, media: await Promise.all(message.media.map(async ({ blob, ...medium }) =>
      ({ ...medium, url: await dataUrlOf(blob, medium.type) }))) };
  }));
  return JSON.stringify({ format: 'gemma4-conversation', version: 1, ...conversation, messages }, null, 2);
}

const quoted = (text) => text.split('\n').map((line) => `> ${line}`).join('\n');
// A fence longer than any in the text.
function fenced(text, language) {
  const fence = '`'.repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map((run) => run[0].length + 1)));
  return `${fence}${language}\n${text}\n${fence}`;
}

export function toMarkdown(conversation) {
  const parts = [`# ${titleOf(conversation)}`, `*${new Date(conversation.created).toISOString().slice(0, 16).replace('T', ' ')} UTC*`];
  if (conversation.settings.system.trim()) parts.push('## System', conversation.settings.system);
  for (const message of conversation.messages) {
    parts.push(message.role === 'user' ? '## You' : `## ${message.model || 'Assistant'}`);
    for (const medium of message.media ?? []) parts.push(`*${medium.kind}: ${medium.name}*`);
    if (message.reasoning) parts.push(quoted(`**Thinking**\n\n${message.reasoning.trim()}`));
    if (message.text) parts.push(message.text.trim());
    for (const call of message.calls ?? [])
      parts.push(`**Tool \`${call.name}\`**`, fenced(call.arguments, 'json'), ...(call.result === null ? [] : [fenced(call.result, '')]));
    if (message.error) parts.push(`*Error: ${message.error}*`);
  }
  return parts.join('\n\n') + '\n';
}

const fileName = (conversation) => titleOf(conversation).toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 60) || 'chat';
export const exportJson = async (conversation) => saveFile(`${fileName(conversation)}.json`, 'application/json', await toJson(conversation));
export const exportMarkdown = (conversation) => saveFile(`${fileName(conversation)}.md`, 'text/markdown', toMarkdown(conversation));
