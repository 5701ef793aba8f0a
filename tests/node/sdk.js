// Drives the simulated Feishu with the official SDK and prints what happened, one JSON object a line.
// argv: base URL, app id, app secret, chat id, directory for files. Ends when stdin ends.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const lark = require('@larksuiteoapi/node-sdk');

const [domain, appId, appSecret, chat, directory] = process.argv.slice(2);
const say = (what, data) => process.stdout.write(`${JSON.stringify({ what, ...data })}\n`);
// The SDK logs to stdout, which is ours.
const log = (...words) => process.stderr.write(`${words.flat().map(String).join(' ')}\n`);
const logger = { error: log, warn: log, info: log, debug: log, trace: log };

async function rest(client) {
  const text = (words) => JSON.stringify({ text: words });
  const sent = await client.im.v1.message.create({
    params: { receive_id_type: 'chat_id' },
    data: { receive_id: chat, msg_type: 'text', content: text('from the SDK'), uuid: 'sdk-1' },
  });
  say('create', { code: sent.code, message: sent.data.message_id });
  const again = await client.im.v1.message.create({
    params: { receive_id_type: 'chat_id' },
    data: { receive_id: chat, msg_type: 'text', content: text('from the SDK'), uuid: 'sdk-1' },
  });
  say('repeat', { code: again.code, message: again.data.message_id });
  const replied = await client.im.v1.message.reply({
    path: { message_id: sent.data.message_id },
    data: { msg_type: 'text', content: text('a reply'), reply_in_thread: true, uuid: 'sdk-2' },
  });
  say('reply', { code: replied.code, thread: replied.data.thread_id, parent: replied.data.parent_id });
  const card = (words) => JSON.stringify({
    schema: '2.0',
    config: { update_multi: true },
    body: {
      elements: [
        { tag: 'markdown', content: words },
        {
          tag: 'button',
          text: { tag: 'plain_text', content: 'Allow' },
          behaviors: [{ type: 'callback', value: { b: '0123456789abcdef0123456789abcdef' } }],
        },
      ],
    },
  });
  const carded = await client.im.v1.message.create({
    params: { receive_id_type: 'chat_id' },
    data: { receive_id: chat, msg_type: 'interactive', content: card('before'), uuid: 'sdk-3' },
  });
  const patched = await client.im.v1.message.patch({
    path: { message_id: carded.data.message_id },
    data: { content: card('after') },
  });
  say('patch', { code: patched.code, message: carded.data.message_id });
  const reacted = await client.im.v1.messageReaction.create({
    path: { message_id: sent.data.message_id },
    data: { reaction_type: { emoji_type: 'Get' } },
  });
  say('react', { code: reacted.code, reaction: reacted.data.reaction_id });
  const taken = await client.im.v1.messageReaction.delete({
    path: { message_id: sent.data.message_id, reaction_id: reacted.data.reaction_id },
  });
  say('unreact', { code: taken.code });
  await files(client);
  const listed = await client.im.v1.message.list({
    params: { container_id_type: 'chat', container_id: chat, sort_type: 'ByCreateTimeDesc', page_size: 50 },
  });
  say('list', { code: listed.code, count: listed.data.items.length });
  const refused = await client.im.v1.message
    .create({
      params: { receive_id_type: 'chat_id' },
      data: { receive_id: 'oc_nowhere', msg_type: 'text', content: text('x') },
    })
    .catch((error) => error.response.data);
  say('refused', { code: refused.code });
}

async function files(client) {
  const source = path.join(directory, 'up.txt');
  fs.writeFileSync(source, 'uploaded by the SDK');
  const uploaded = await client.im.v1.file.create({
    data: { file_type: 'stream', file_name: 'up.txt', file: fs.createReadStream(source) },
  });
  const sent = await client.im.v1.message.create({
    params: { receive_id_type: 'chat_id' },
    data: { receive_id: chat, msg_type: 'file', content: JSON.stringify({ file_key: uploaded.file_key }), uuid: 'sdk-4' },
  });
  const resource = await client.im.v1.messageResource.get({
    path: { message_id: sent.data.message_id, file_key: uploaded.file_key },
    params: { type: 'file' },
  });
  const target = path.join(directory, 'down.txt');
  await resource.writeFile(target);
  say('file', { content: fs.readFileSync(target, 'utf8') });
}

async function main() {
  const client = new lark.Client({ appId, appSecret, domain, logger, loggerLevel: lark.LoggerLevel.warn });
  const socket = new lark.WSClient({ appId, appSecret, domain, logger, loggerLevel: lark.LoggerLevel.warn });
  const dispatcher = new lark.EventDispatcher({ logger, loggerLevel: lark.LoggerLevel.warn }).register({
    'im.message.receive_v1': async (data) => {
      say('message', { message: data.message.message_id, content: data.message.content, sender: data.sender.sender_id.open_id });
    },
    'card.action.trigger': async (data) => {
      say('click', { value: data.action.value, message: data.context.open_message_id });
      return { toast: { type: 'success', content: 'clicked' } };
    },
  });
  await socket.start({ eventDispatcher: dispatcher });
  await rest(client);
  say('done', {});
}

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
main().catch((error) => {
  log(error.stack);
  process.exit(1);
});
