import assert from 'node:assert/strict'
import { test } from 'node:test'
import { publicAddresses } from '../src/adapters/public-address.ts'
import { webhookSender } from '../src/adapters/webhook-sender.ts'
import { afterCall } from '../src/domain/delivery.ts'
import { deliveryAttempts, newestDeliveries } from '../src/webhooks/deliveries.ts'
import { manualClock } from './harness.ts'
import { peer } from './misbehaving-peer.ts'
import { delivering, receiver, succeed, type Answer } from './webhooks-kit.ts'

const HTTP = 'HTTP/1.1'
const OK = `${HTTP} 200 OK\r\ncontent-length: 0\r\n\r\n`

test('what an endpoint replies is read as it is meant, and told by its own reason where it cannot be', async (t) => {
  const table: readonly (readonly [reply: string, status: number | null, reason: string | null])[] =
    [
      [OK, 200, null],
      [`${HTTP} 103 Early Hints\r\nlink: </x>\r\n\r\n${OK}`, 200, null],
      [`${HTTP} 102 Processing\r\n\r\n${OK}`, 200, null],
      [`${HTTP} 204 No Content\r\ncontent-length: 5\r\n\r\nhello`, 204, null],
      [`${HTTP} 204 No Content\r\ncontent-length: 5\r\n\r\n`, 204, null],
      [`${HTTP} 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello`, 204, null],
      [`${HTTP} 204 No Content\r\n\r\nhello`, 204, null],
      [`${HTTP} 100 Continue\r\n\r\n${OK}`, null, 'reply_malformed'],
      [`${HTTP} 101 Switching Protocols\r\n\r\n${OK}`, null, 'reply_malformed'],
      [
        `${HTTP} 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n`,
        null,
        'reply_malformed',
      ],
      [`${HTTP} 099 Below\r\ncontent-length: 0\r\n\r\n`, null, 'reply_malformed'],
      [`${HTTP} 000 None\r\ncontent-length: 2\r\n\r\nhi`, null, 'reply_malformed'],
      ['SSH-2.0-OpenSSH\r\n', null, 'reply_malformed'],
      [`${HTTP} 200 OK\ncontent-length: 0\n\n`, null, 'reply_malformed'],
      [`${HTTP} 200 OK\r\ncontent-length: x\r\n\r\n`, null, 'reply_malformed'],
      [`${HTTP} 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`, null, 'reply_malformed'],
      [`${HTTP} 200 OK\r\ncontent-length: 9\r\n\r\nhello`, null, 'reset'],
      ['', null, 'reset'],
    ]
  const sender = webhookSender({ allowed: publicAddresses([], true), clock: manualClock() })
  t.after(() => sender.close())
  for (const [reply, status, reason] of table) {
    const { url } = await peer(t, (socket) => socket.end(reply))
    const told = await sender.send({ url, headers: {}, body: '{}' })
    assert.deepEqual([told.status, told.reason], [status, reason], reply)
  }
})

test('what an endpoint replies is kept, whatever bytes it has', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const replies = [
    [Buffer.from('a\0b\0'), 'a\ufffdb\ufffd'],
    [Buffer.from([0x61, 0xff, 0xc3]), 'a\ufffd\ufffd'],
    // Half a character where it is cut.
    [Buffer.from('ä'.repeat(600)), 'ä'.repeat(512)],
    [Buffer.concat([Buffer.from('a'), Buffer.from('ä'.repeat(600))]), `a${'ä'.repeat(511)}\ufffd`],
    [Buffer.from('\u001b[31m\r\n'), '\u001b[31m\r\n'],
    [Buffer.alloc(0), null],
  ] as const
  const answers = replies.map(
    ([bytes]): Answer =>
      (response) =>
        void response.end(bytes),
  )
  const { id } = await endpoint((await receiver(t, ...answers)).url)
  for (const [, kept] of replies) {
    await succeed(world)
    assert.equal(await turn(), 1)
    const [newest] = await newestDeliveries(world.db, id, null, 1)
    assert.equal(newest?.state, 'delivered')
    const calls = await deliveryAttempts(world.db, { endpointId: id, eventId: newest.eventId })
    assert.deepEqual(calls.kind === 'calls' ? calls.calls.map(({ reply }) => reply) : calls, [kept])
  }
})

/** When the endpoint answered, by its own clock. */
const SENT = '\r\ndate: Fri, 31 Dec 1999 23:59:00 GMT'

test('Retry-After pauses as long as it says, an hour at most, in seconds or as a date', async (t) => {
  const sender = webhookSender({ allowed: publicAddresses([], true), clock: manualClock() })
  t.after(() => sender.close())
  for (const [after, pauseMs] of [
    ['60', 60_000],
    ['3600', 3_600_000],
    ['99999', 3_600_000],
    ['99999999999', 3_600_000],
    ['9'.repeat(400), 3_600_000],
    ['0', 1_000],
    ['-1', 5_000],
    ['1e9', 5_000],
    ['Fri, 31 Dec 1999 23:59:59 GMT', 5_000],
    [`Fri, 31 Dec 1999 23:59:59 GMT${SENT}`, 59_000],
    [`Sat, 01 Jan 2000 23:59:59 GMT${SENT}`, 3_600_000],
    [`Friday, 31-Dec-99 23:59:59 GMT${SENT}`, 59_000],
    [`Fri Dec 31 23:59:59 1999${SENT}`, 59_000],
    [`Fri, 31 Dec 1999 22:59:59 GMT${SENT}`, 1_000],
    [`1999-12-31T23:59:59Z${SENT}`, 5_000],
    ['Fri, 31 Dec 1999 23:59:59 GMT\r\ndate: now', 5_000],
    ['7\r\nretry-after: 60', 60_000],
    ['60\r\nretry-after: soon', 60_000],
    ['7, 60', 60_000],
  ] as const) {
    const { url } = await peer(t, (socket) => {
      socket.end(`${HTTP} 503 Busy\r\nretry-after: ${after}\r\ncontent-length: 0\r\n\r\n`)
    })
    const told = await sender.send({ url, headers: {}, body: '{}' })
    assert.equal(afterCall(told, 0, 0.5).pauseMs, pauseMs, after)
  }
})
