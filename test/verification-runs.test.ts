import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { withShards } from '../src/each-shard.ts'
import type { Clock, Db } from '../src/ports.ts'
import {
  cancelVerifyRun,
  keepRecent,
  listRuns,
  newestRuns,
  readVerifyRun,
  seeRun,
} from '../src/verify/runs-store.ts'
import { verifyRuns } from '../src/verify/runs.ts'
import type { Report } from '../src/verify/report.ts'
import { openDb, raw, testWorld } from './harness.ts'
import { until } from './process-kit.ts'
import { serve, type Served } from './serve.ts'
import { busyHistory } from './verify-history.ts'

/** Sleeps that end when they are told to. */
function sleeper() {
  const asleep = new Set<() => void>()
  return {
    asleep,
    sleep: (_: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        const wake = () => void (asleep.delete(wake), resolve())
        asleep.add(wake)
        signal?.addEventListener('abort', wake)
      }),
  }
}

/** Checks of a world's books. */
async function checked(t: TestContext) {
  const world = await testWorld(t)
  const reports: Report[] = []
  const errors: unknown[] = []
  const open = (own: { db?: Db; clock?: Clock } = {}) =>
    verifyRuns({
      db: world.db,
      clock: { ...world.clock, ...sleeper() },
      ...own,
      onReport: (report) => void reports.push(report),
      onError: (error) => void errors.push(error),
    })
  const ended = (id: bigint) =>
    until('the check has ended', async () => {
      const run = await readVerifyRun(world.db.global, id)
      return run?.state === 'running' ? null : run
    })
  return { world, reports, errors, open, ended }
}

test('a check that is started is carried out, and its result is kept by rule', async (t) => {
  const { world, reports, open, ended } = await checked(t)
  await busyHistory(world, 4, 3)
  await world.sql(`update users set available = available + 1 where id = 2`)
  const runs = open()
  const begun = await runs.start('jane')
  assert.deepEqual(
    [begun.scope, begun.state, begun.startedBy, begun.report],
    ['full', 'running', 'jane', null],
  )
  const run = await ended(begun.id)
  assert.equal(run.state, 'done')
  assert.equal(run.report?.complete, true)
  assert.ok((run.report?.violations ?? 0) > 0)
  assert.equal(run.report?.violations, reports[0]?.violations)
  const wrong = run.report?.rules.filter(({ violations }) => violations > 0) ?? []
  assert.ok(wrong.some(({ examples }) => examples.some(({ name }) => name === 'user 2')))
  await runs.stop()
})

test('one check runs at a time: who asks meanwhile is told of it, in every process', async (t) => {
  const { world, open } = await checked(t)
  await world.sql(
    `insert into verifications (scope, state, started_at, started_by, seen_at)
     values ('full', 'running', '2030-01-01', 'somebody', '2030-01-01')`,
  )
  const joined = await open().start('jane')
  assert.equal(joined.startedBy, 'somebody')
  assert.equal((await listRuns(world.db.global)).length, 1)
})

test('a check whose process has died has failed after a minute, and another may begin', async (t) => {
  const { world, open, ended } = await checked(t)
  const runs = open()
  await world.sql(
    `insert into verifications (scope, state, started_at, started_by, seen_at)
     values ('full', 'running', '2030-01-01', 'somebody', '2030-01-01')`,
  )
  const [row] = await listRuns(world.db.global)
  assert(row !== undefined)
  world.clock.advance(50_000)
  await seeRun(world.db.global, row.id, { part: 'users', done: 1, total: 2 })
  world.clock.advance(60_000)
  assert.deepEqual((await readVerifyRun(world.db.global, row.id))?.progress, {
    part: 'users',
    done: 1,
    total: 2,
  })
  world.clock.advance(1)
  const begun = await runs.start('jane')
  assert.equal(begun.startedBy, 'jane')
  const lost = await readVerifyRun(world.db.global, row.id)
  assert.deepEqual([lost?.state, lost?.error], ['failed', 'process_lost'])
  assert.deepEqual(lost?.endedAt, new Date('2030-01-01T00:00:50Z'))
  assert.equal((await ended(begun.id)).state, 'done')
})

test('a check that makes no progress for minutes is not lost while its process lives', async (t) => {
  const { world, reports, open, ended } = await checked(t)
  let letOn = () => {}
  const gate = new Promise<void>((resolve) => (letOn = resolve))
  const db = withShards(world.db, (shard) => ({
    ...shard,
    run: (statement, values) => gate.then(() => shard.run(statement, values)),
    transaction: (work, lockMs) => gate.then(() => shard.transaction(work, lockMs)),
  }))
  const { asleep, sleep } = sleeper()
  const runs = open({ db, clock: { ...world.clock, sleep } })
  const begun = await runs.start('jane')
  for (let at = 0; at < 5; at += 1) {
    const [wake] = await until('it has said that it lives', () => asleep.size > 0 && [...asleep])
    world.clock.advance(40_000)
    wake?.()
  }
  await until('it has said that it lives', () => asleep.size > 0)
  assert.equal((await readVerifyRun(world.db.global, begun.id))?.state, 'running')
  assert.deepEqual(reports, [])
  letOn()
  assert.equal((await ended(begun.id)).state, 'done')
  assert.equal(reports.length, 1)
  await runs.stop()
  assert.equal(asleep.size, 0, 'nobody says any more that it lives')
})

test('a check that is canceled stops, leaves no result, and another may begin at once', async (t) => {
  const { world, reports, open, ended } = await checked(t)
  let letOn = () => {}
  const gate = new Promise<void>((resolve) => (letOn = resolve))
  let statements = 0
  const db = withShards(world.db, (shard) => ({
    ...shard,
    run: (statement, values) => gate.then(() => ((statements += 1), shard.run(statement, values))),
  }))
  const { asleep, sleep } = sleeper()
  const runs = open({ db, clock: { ...world.clock, sleep } })
  const begun = await runs.start('jane')
  const canceled = await cancelVerifyRun(world.db.global, begun.id, 'joe')
  assert.deepEqual([canceled?.state, canceled?.error], ['failed', 'canceled by joe'])
  assert.deepEqual(
    await cancelVerifyRun(world.db.global, begun.id, 'ann'),
    canceled,
    'it has ended',
  )
  const other = await open().start('ann')
  assert.notEqual(other.id, begun.id)
  assert.equal((await ended(other.id)).state, 'done')

  const [wake] = await until('it has said that it lives', () => asleep.size > 0 && [...asleep])
  wake?.()
  await until('it knows that it was canceled', () => asleep.size > 0 && !asleep.has(wake as never))
  letOn()
  await runs.stop()
  assert.ok(statements < 5, 'it went on to the end')
  assert.equal(reports.length, 1, 'that of the other')
  assert.deepEqual(await readVerifyRun(world.db.global, begun.id), canceled)
})

test('a process that stops ends its check, and says so', async (t) => {
  const { world, reports, open } = await checked(t)
  await world.user(100n)
  const runs = open()
  const begun = await runs.start('jane')
  await runs.stop()
  const run = await readVerifyRun(world.db.global, begun.id)
  assert.deepEqual([run?.state, run?.error, run?.report], ['failed', 'process_stopped', null])
  assert.deepEqual(reports, [])
})

test('a check that cannot be made says why', async (t) => {
  const { world, errors, open, ended } = await checked(t)
  await world.sql('alter table payments rename to payments_away')
  const begun = await open().start('jane')
  const run = await ended(begun.id)
  assert.equal(run.state, 'failed')
  assert.match(run.error ?? '', /payments/)
  assert.equal(errors.length, 1)
})

interface Shown {
  readonly verification_id: number
  readonly state: string
  readonly scope: string
}

test('operators start a check by the API, follow it, and see what each rule found', async (t) => {
  const service: Served = await serve(t)
  const { call } = service
  await call('POST', '/users', { balance: 10 })
  const started = await call('POST', '/ledger/verifications', undefined, { 'x-actor': 'jane' })
  assert.equal(started.status, 202)
  const { verification_id: id, started_by: by } = started.body
  assert.equal(by, 'jane')
  assert.equal(started.headers.get('location'), `/api/v1/ledger/verifications/${String(id)}`)
  const done = await until('it is done', async () => {
    const { body } = await call('GET', `/ledger/verifications/${String(id)}`)
    return body['state'] === 'done' ? body : null
  })
  const { rules, violations, complete, results, progress } = done
  assert.deepEqual([violations, complete, progress], [0, true, null])
  const found = results as { rule: string; checked: number; examples: string[] }[]
  assert.equal(found.length, rules)
  assert.ok(found.some(({ checked: rows }) => rows > 0))
  const { body } = await call('GET', '/ledger/verifications')
  const mine = (body['data'] as Shown[]).filter(({ scope }) => scope === 'full')
  assert.deepEqual(
    mine.map(({ verification_id: own, state }) => [own, state]),
    [[id, 'done']],
  )
  const late = await call('POST', `/ledger/verifications/${String(id)}/cancel`)
  assert.deepEqual([late.status, late.body['state']], [200, 'done'], 'it had ended')
  for (const path of ['99', 'x', '0']) {
    for (const asked of [
      await call('GET', `/ledger/verifications/${path}`),
      await call('POST', `/ledger/verifications/${path}/cancel`),
    ]) {
      assert.deepEqual([asked.status, asked.body['code']], [404, 'verification_not_found'])
    }
  }
  const bad = await call('POST', '/ledger/verifications', undefined, { 'x-actor': 'key:x' })
  assert.equal(bad.body['code'], 'actor_invalid')
})

test('of the checks that workers make the newest is kept, and of the others fifty', async (t) => {
  const service = await serve(t)
  const { global: db } = openDb(t, service.database)
  await db.run(
    raw(`insert into verifications
      (scope, state, started_at, started_by, seen_at, ended_at, report)
      select 'full', 'done', now(), 'x', now(), now(), '{"rules": []}'
      from generate_series(1, 60)`),
    [],
  )
  const { body } = await service.call('POST', '/ledger/verifications')
  await until('it is done', async () => {
    const run = await readVerifyRun(db, BigInt(body['verification_id'] as number))
    return run?.state === 'done'
  })
  const [row] = await db.run(raw<{ count: bigint }>(`select count(*) from verifications`), [])
  assert.equal(row?.count, 50n)
})

test('who has seen the check that workers make can read it, and reads the newest', async (t) => {
  // No worker, whose checks would come in between.
  const roles = { api: true, worker: false, mockGateway: true }
  const { call, database } = await serve(t, {}, { roles })
  const { global: db } = openDb(t, database)
  const keep = (violations: number) =>
    keepRecent(db, new Date(`2030-01-01T00:0${violations}:00Z`), {
      complete: true,
      duration_ms: 1,
      violations,
      rules: [],
    })
  const listed = async () => (await call('GET', '/ledger/verifications')).body['data'] as Shown[]
  await keep(1)
  const [seen] = await listed()
  const full = await call('POST', '/ledger/verifications')
  const fullId = full.body['verification_id']
  await until('it is done', async () => {
    const { body } = await call('GET', `/ledger/verifications/${String(fullId)}`)
    return body['state'] === 'done'
  })
  await keep(2)
  const read = await call('GET', `/ledger/verifications/${seen?.verification_id}`)
  assert.deepEqual([read.status, read.body['violations'], read.body['results']], [200, 2, []])
  const ids = (await listed()).map(({ verification_id: id, scope }) => `${scope} ${id}`)
  assert.deepEqual(ids, [`recent ${seen?.verification_id}`, `full ${String(fullId)}`])
})

test('what workers check minute by minute takes away no check that somebody asked for', async (t) => {
  const { world, open, ended } = await checked(t)
  const { global } = world.db
  const runs = open()
  const asked = []
  for (const by of ['jane', 'joe']) asked.push((await ended((await runs.start(by)).id)).id)
  for (const minute of [1, 2]) {
    const report = { complete: true, duration_ms: 1, violations: 0, rules: [] }
    await keepRecent(global, new Date(Date.UTC(2030, 0, 1, 0, minute)), report)
  }
  const full = (await listRuns(global)).filter(({ scope }) => scope === 'full')
  assert.deepEqual(full.map(({ id }) => id).toSorted(), asked)
  const newest = (await newestRuns(global)).filter(({ scope }) => scope === 'full')
  assert.deepEqual(
    newest.map(({ id }) => id),
    asked.slice(1),
  )
})
