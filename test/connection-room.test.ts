import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { keepConnections, trusted, type ConnectionOptions } from '../src/http/connections.ts'

/** Connections without a network: whom a new one replaces is decided by what is known of them. */
function room(t: TestContext, max: number, onFull?: ConnectionOptions['onFull']) {
  let nowMs = 0
  t.mock.timers.enable({ apis: ['setInterval'] })
  const server = new EventEmitter()
  const connections = keepConnections({
    max,
    elapsedMs: () => nowMs,
    ...(onFull === undefined ? {} : { onFull }),
  })
  t.after(() => connections.close())
  connections.attach(server as Server)
  const names = new Map<string, Socket>()
  const cut: string[] = []
  return {
    cut,
    counts: () => connections.counts().cut,
    /** Time passes, and deadlines are looked at. */
    pass(ms: number): void {
      nowMs += ms
      t.mock.timers.tick(1_000)
    },
    /** Somebody connects; a friend has brought a request that was let in. */
    open(name: string, friend = false): void {
      const gone = { destroy: () => void cut.push(name) }
      const socket = Object.assign(new EventEmitter(), gone) as unknown as Socket
      names.set(name, socket)
      server.emit('connection', socket)
      if (friend) trusted(socket)
    },
    /** A request arrives. Returns how its answer becomes complete, and how it is through. */
    ask(name: string) {
      const req = { socket: names.get(name) }
      const response = Object.assign(new EventEmitter(), { writableEnded: false, req })
      connections.take(req as IncomingMessage, response as unknown as ServerResponse)
      const end = () => void (response.writableEnded = true)
      return {
        end,
        through() {
          end()
          response.emit('close')
        },
      }
    },
  }
}

test('a stranger who waits for an answer stays, and one who waits for none makes room', (t) => {
  const { open, ask, cut } = room(t, 2)
  open('waits')
  open('quiet')
  ask('waits')
  open('new')
  assert.deepEqual(cut, ['quiet'])
})

test('whoever has a complete answer to read waits for nothing of ours', (t) => {
  const { open, ask, cut } = room(t, 2)
  open('reads')
  open('waits')
  ask('reads').end()
  ask('waits')
  open('new')
  assert.deepEqual(cut, ['reads'])
})

test('of strangers who wait for nothing, the one whose last answer is longest ago makes room', (t) => {
  const { open, ask, cut } = room(t, 3)
  for (const name of ['one', 'two', 'three']) open(name)
  ask('one').through()
  open('new')
  open('newer')
  assert.deepEqual(cut, ['two', 'three'])
})

test('where every stranger waits for an answer the oldest makes room, before any friend', (t) => {
  const { open, ask, cut } = room(t, 3)
  open('friend', true)
  open('one')
  open('two')
  ask('one')
  ask('two')
  open('new')
  assert.deepEqual(cut, ['one'])
})

test('no more than so many strangers are looked at before the oldest makes room', (t) => {
  const { open, ask, cut } = room(t, 66)
  for (let number = 1; number <= 65; number += 1) {
    open(`waits ${number}`)
    ask(`waits ${number}`)
  }
  open('quiet')
  // 64 are looked at, so the quiet one at the place behind them is not found.
  open('new')
  assert.deepEqual(cut, ['waits 1'])
  open('newer')
  assert.deepEqual(cut, ['waits 1', 'waits 2'])
  // Now it is the 64th.
  open('newest')
  assert.deepEqual(cut, ['waits 1', 'waits 2', 'quiet'])
})

test('of friends the one that was idle longest makes room, and where all wait the new one goes', (t) => {
  const { open, ask, cut, counts } = room(t, 2)
  open('one', true)
  open('two', true)
  const answer = ask('one')
  open('new', true)
  assert.deepEqual(cut, ['two'])
  ask('new')
  open('refused')
  assert.deepEqual(cut, ['two', 'refused'])
  answer.through()
  open('late')
  assert.deepEqual(cut, ['two', 'refused', 'one'])
  assert.deepEqual(counts(), { made_room: 2, no_room: 1, sent_ahead: 0, unread: 0, idle: 0 })
})

test('a connection with sixteen requests unanswered is cut with the next one, and no other is', (t) => {
  const { open, ask, cut, counts } = room(t, 2)
  open('one')
  open('two')
  const answers = Array.from({ length: 16 }, () => ask('one'))
  ask('two')
  assert.deepEqual(cut, [])
  answers[0]?.through()
  ask('one')
  assert.deepEqual(cut, [])
  ask('one')
  assert.deepEqual(cut, ['one'])
  // What it sends from then on is nobody's.
  ask('one')
  assert.equal(counts().sent_ahead, 1)
})

test('of idle friends the one whose last answer is longest ago makes room', (t) => {
  const { open, ask, cut, pass } = room(t, 3)
  for (const name of ['one', 'two', 'three']) open(name, true)
  for (const name of ['three', 'one', 'two']) {
    pass(1_000)
    ask(name).through()
  }
  for (const name of ['a', 'b', 'c']) open(name, true)
  assert.deepEqual(cut, ['three', 'one', 'two'])
})

test('a stranger who has been answered is cut 15 seconds later, and no friend and nobody new is', (t) => {
  const { open, ask, cut, pass, counts } = room(t, 9)
  for (const name of ['answered', 'asks again', 'new']) open(name)
  open('friend', true)
  for (const name of ['answered', 'asks again', 'friend']) ask(name).through()
  pass(14_999)
  assert.deepEqual(cut, [])
  ask('asks again')
  pass(1)
  assert.deepEqual(cut, ['answered'])
  pass(1_000_000)
  assert.deepEqual(cut, ['answered'])
  assert.equal(counts().idle, 1)
})

test('an answer that is complete and not read for 20 seconds is given up, and one that is read is none', (t) => {
  const { open, ask, cut, pass, counts } = room(t, 9)
  open('never reads', true)
  open('gets on', true)
  open('waits', true)
  ask('waits')
  ask('never reads').end()
  const answers = [ask('gets on'), ask('gets on')]
  for (const answer of answers) answer.end()
  pass(1)
  pass(19_999)
  assert.deepEqual(cut, [])
  answers[0]?.through()
  pass(1)
  assert.deepEqual(cut, ['never reads'])
  pass(19_999)
  assert.deepEqual(cut, ['never reads'])
  pass(1)
  assert.deepEqual(cut, ['never reads', 'gets on'])
  assert.equal(counts().unread, 2)
})

test('that there was no room is told once for all since it was told last', (t) => {
  const told: [number, number][] = []
  const onFull = (counts: { readonly open: number }, cut: number) =>
    void told.push([counts.open, cut])
  const { open, pass } = room(t, 2, onFull)
  for (const name of ['one', 'two']) open(name)
  pass(1_000)
  assert.deepEqual(told, [])
  for (const name of ['three', 'four', 'five']) open(name)
  pass(1_000)
  pass(1_000)
  open('six')
  pass(1_000)
  assert.deepEqual(told, [
    [2, 3],
    [2, 1],
  ])
})
