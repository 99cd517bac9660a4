import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import type { ToMember } from '../src/process/member.ts'
import { openGroup, type MemberProcess } from '../src/process/supervisor.ts'
import { quiet, waitingClock } from './waiting-clock.ts'

/** Members that are no processes: a test says what each does. */
function group(count: number) {
  const clock = waitingClock()
  const members: ReturnType<typeof member>[] = []
  const lost: string[] = []
  const said: string[] = []
  const opened = openGroup({
    count,
    fork() {
      const made = member(members.length + 1)
      members.push(made)
      return made.worker
    },
    log: {
      info: (_: unknown, line?: string) => void said.push(line ?? ''),
      error: (_: unknown, line?: string) => void said.push(line ?? ''),
    },
    clock,
    stopMsMax: 5_000,
    onLost: (error) => void lost.push(error.message),
  })
  const last = () => members.at(-1) ?? assert.fail('no member')
  /** Start it, every member being ready at once. */
  const running = async () => {
    const started = opened.start()
    for (let made = 0; made < count; made += 1) {
      await quiet()
      for (const one of members) one.ready()
    }
    await started
  }
  return { ...opened, clock, members, lost, said, last, running }
}

function member(number: number) {
  const emitter = new EventEmitter()
  const told: ToMember[] = []
  const signals: (number | string | undefined)[] = []
  const worker = Object.assign(emitter, {
    isConnected: () => true,
    send(what: ToMember) {
      told.push(what)
      return true
    },
    process: {
      pid: number,
      kill(signal?: number | string) {
        signals.push(signal)
        emitter.emit('exit', null, signal)
        return true
      },
    },
  }) as unknown as MemberProcess
  let begun = false
  return {
    worker,
    told,
    signals,
    says: (what: object) => void emitter.emit('message', what),
    ready() {
      if (!begun) emitter.emit('message', { kind: 'ready', url: 'http://127.0.0.1:8000' })
      begun = true
    },
    ends: (code: number) => void emitter.emit('exit', code, null),
  }
}

test('the others start when the first is ready, and what keeps the first from it is said once', async () => {
  const own = group(3)
  const started = own.start()
  await quiet()
  assert.equal(own.members.length, 1)
  own.last().ends(2)
  assert.deepEqual(await started, { code: 2 })
  assert.equal(own.members.length, 1)

  const other = group(3)
  await other.running()
  assert.equal(other.members.length, 3)
})

test('a process that ends by itself is replaced, by one more attempt after each that cannot start', async () => {
  const own = group(2)
  await own.running()
  await own.clock.advance(60_000)
  own.members[0]?.ends(1)
  await quiet()
  assert.equal(own.members.length, 3, 'at once, where it had lived for long')
  own.last().ends(1)
  await quiet()
  assert.equal(own.members.length, 3)
  await own.clock.advance(1_000)
  assert.equal(own.members.length, 4, 'a second later, where it had not got going')
  own.last().ready()
  await quiet()
  assert.deepEqual(own.lost, [])
})

test('processes that end as soon as they start are given up, with a sentence', async () => {
  const own = group(1)
  await own.running()
  for (let round = 0; round < 10; round += 1) {
    own.last().ready()
    own.last().ends(1)
    await quiet()
    await own.clock.advance(8_000)
  }
  assert.equal(own.lost.length, 1)
  assert.match(own.lost[0] ?? '', /again and again/)
  assert.equal(own.members.length, 1 + 4)
})

test('one that cannot start is tried again for as long as others work', async () => {
  const own = group(2)
  await own.running()
  own.last().ends(1)
  for (let round = 0; round < 12; round += 1) {
    await quiet()
    await own.clock.advance(8_000)
    own.last().ends(1)
  }
  assert.deepEqual(own.lost, [])
  assert.ok(own.members.length > 10, `${own.members.length}`)
  await quiet()
  await own.clock.advance(8_000)
  own.last().ready()
  await quiet()
  const made = own.members.length
  await own.clock.advance(60_000)
  assert.equal(own.members.length, made)
})

test('a restart beside a replacement that is starting leaves no process too many', async () => {
  const own = group(2)
  await own.running()
  await own.clock.advance(60_000)
  const [first, second] = own.members
  second?.ends(1)
  await quiet()
  const replacement = own.last()
  const restarted = own.restart()
  await quiet()
  const successor = own.last()
  replacement.ends(1)
  await quiet()
  successor.ready()
  await quiet()
  first?.ends(0)
  await restarted
  await own.clock.advance(1_000)
  own.last().ready()
  await quiet()
  await own.clock.advance(60_000)
  assert.equal(own.members.length, 5, 'two, a replacement, the successor of one, and one more')
})

test('a restart takes each away when another has its place, and none when one cannot start', async () => {
  const own = group(2)
  await own.running()
  const [first, second] = own.members
  const restarted = own.restart()
  await quiet()
  assert.equal(own.members.length, 3)
  assert.deepEqual(first?.told, [], 'it stays until the new one is ready')
  own.last().ready()
  await quiet()
  assert.deepEqual(first?.told, [{ kind: 'stop', replaced: true }])
  assert.equal(own.members.length, 3, 'the second waits for the first to be gone')
  first?.ends(0)
  await quiet()
  assert.equal(own.members.length, 4)
  own.last().ends(1)
  await restarted
  assert.deepEqual(second?.told, [], 'it stays where the new one cannot start')
  // Should it die now, it is replaced as ever.
  await own.clock.advance(60_000)
  second?.ends(1)
  await quiet()
  assert.equal(own.members.length, 5)
})

test('a process that dies while its successor starts is not replaced twice', async () => {
  const own = group(2)
  await own.running()
  const restarted = own.restart()
  await quiet()
  own.members[0]?.ends(1)
  own.last().ready()
  await quiet()
  assert.equal(own.members.length, 4, 'the second one has its successor')
  own.last().ready()
  await quiet()
  own.members[1]?.ends(0)
  await restarted
  assert.equal(own.members.length, 4)
})

test('one that does not stop in time is killed, and nobody is replaced any more', async () => {
  const own = group(2)
  await own.running()
  const stopped = own.stop()
  const [first, second] = own.members
  const stop = { kind: 'stop', replaced: false }
  assert.deepEqual([first?.told, second?.told], [[stop], [stop]])
  first?.ends(0)
  await quiet()
  await own.clock.advance(5_000)
  await stopped
  assert.deepEqual([first?.signals, second?.signals], [[], ['SIGKILL']])
  assert.equal(own.members.length, 2)
})

test('metrics are those of all, and what was counted stays counted, whoever is late or gone', async () => {
  const own = group(3)
  await own.running()
  const [first, second, third] = own.members
  const values = (value: number) => [{ value, labels: {} }]
  const sample = (sum: number, same: number, worst: number) => [
    { name: 's', help: 's', type: 'counter', aggregator: 'sum', values: values(sum) },
    { name: 'f', help: 'f', type: 'gauge', aggregator: 'first', values: values(same) },
    { name: 'm', help: 'm', type: 'gauge', aggregator: 'max', values: values(worst) },
  ]
  first?.says({ kind: 'wanted', number: 7 })
  await quiet()
  const number = 1
  first?.says({ kind: 'sample', number, sample: sample(1, 5, 2) })
  third?.says({ kind: 'sample', number, sample: sample(2, 5, 9) })
  await quiet()
  assert.equal(first?.told.length, 1, 'the second is waited for')
  await own.clock.advance(2_000)
  const answer = first?.told.at(-1)
  assert.ok(answer?.kind === 'metrics' && answer.number === 7)
  assert.match(answer.text, /^s 3$/m)
  assert.match(answer.text, /^f 5$/m)
  assert.match(answer.text, /^m 9$/m)
  assert.deepEqual(second?.told, [{ kind: 'measure', number }])

  third?.ends(1)
  await quiet()
  own.last().ready()
  await quiet()
  first?.says({ kind: 'wanted', number: 8 })
  await quiet()
  first?.says({ kind: 'sample', number: 2, sample: sample(2, 6, 3) })
  own.last().says({ kind: 'sample', number: 2, sample: sample(0, 6, 1) })
  await own.clock.advance(2_000)
  const later = first?.told.at(-1)
  assert.ok(later?.kind === 'metrics' && later.number === 8)
  assert.match(later.text, /^s 4$/m)
  assert.match(later.text, /^f 6$/m)
  assert.match(later.text, /^m 3$/m, 'of what is, and not of what was')
})

test('what processes counted stays counted, however many of them end one after the other', async () => {
  const own = group(2)
  await own.running()
  const [first] = own.members
  assert(first !== undefined)
  const counted = (value: number) => [
    { name: 's', help: 's', type: 'counter', aggregator: 'sum', values: [{ value, labels: {} }] },
  ]
  for (const [round, total] of [11, 31, 71].entries()) {
    const number = round + 1
    first.says({ kind: 'wanted', number })
    await quiet()
    first.says({ kind: 'sample', number, sample: counted(1) })
    own.last().says({ kind: 'sample', number, sample: counted(10 * 2 ** round) })
    await quiet()
    const told = first.told.at(-1)
    assert.ok(told?.kind === 'metrics' && told.number === number)
    assert.match(told.text, new RegExp(`^s ${total}$`, 'm'))
    own.last().ends(1)
    await own.clock.advance(4_000)
    await quiet()
    own.last().ready()
    await quiet()
  }
})
