import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planMissed, readReplay } from '../src/runs/events.ts'
import { cancel, start, step } from '../src/runs/run.ts'
import { readRun } from '../src/runs/read-store.ts'
import { dropEndpoint, editEndpoint } from '../src/webhooks/endpoints.ts'
import { readEndpoint } from '../src/webhooks/store.ts'
import { want } from './events-kit.ts'
import { run } from './programs.ts'
import { carriedOut, delivered, found, START, UNSENT } from './replay-kit.ts'
import { serve } from './serve.ts'
import { feed } from '../src/events/feed.ts'
import { declined } from './operators.ts'
import { BY, delivering, receiver, states, status, succeed, type Answer } from './webhooks-kit.ts'

const NO_FAULTS = { timeout_before: 0, timeout_after: 0, error_before: 0, error_after: 0 }

test('a replay delivers as many events as its dry run counted, each with its id and its bytes', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 7)
  await delivered(turn)
  world.clock.advance(60_000)
  const from = world.clock.now()
  await succeed(world, 9)
  await delivered(turn)
  world.clock.advance(60_000)
  const end = world.clock.now()
  await succeed(world, 5)
  await delivered(turn)
  const first = to.received.splice(0)
  assert.equal(first.length, 21)

  const dry = await found(world, id, { createdAfter: from, createdBefore: end })
  assert.deepEqual([dry.count, dry.matching], [9, 9])
  assert.deepEqual(dry.byType, [{ type: 'payment.succeeded', count: 9 }])
  assert.deepEqual([dry.oldestAt, dry.newestAt], [from, from])
  assert.equal(await turn(), 0, 'a dry run sends nothing')
  const started = await start(world.world, dry.snapshot, { ...START, endpointId: id })
  assert.ok(started.kind === 'run' && started.run.state === 'running')
  await carriedOut(world)
  await delivered(turn)
  assert.equal(to.received.length, 9)
  const bytes = (one: (typeof first)[number]) => `${one.id} ${one.body}`
  assert.deepEqual(to.received.map(bytes).sort(), first.slice(7, 16).map(bytes).sort())
  const replay = await readReplay(world.db, id, dry.snapshot)
  const ended = replay?.run ?? assert.fail('the replay is there')
  const { state, position, skipped } = ended
  assert.deepEqual([state, position, ended.carriedOut, skipped], ['done', 9, 9, 0])
  assert.deepEqual([replay?.delivered, replay?.failed, replay?.pending], [9, 0, 0])
})

test('a replay is of the types that are asked for, of those that the endpoint wants', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  await want(world, ['dead_letter.opened'])
  const { id } = await endpoint(to.url)
  await succeed(world, 3)
  await declined(world, 'deposit', 2)
  await delivered(turn)
  const count = async (types: readonly string[] | null) => (await found(world, id, { types })).count
  assert.equal(await count(null), 5)
  assert.equal(await count(['payment.failed']), 2)
  assert.equal(await count(['payment.*']), 5)
  assert.equal(await count(['dead_letter.opened']), 0, 'others have asked for these')
})

test('what has arrived or is on its way is left out where only the rest is asked for', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200), status(500))
  const { id } = await endpoint(to.url)
  await succeed(world, 2)
  await turn()
  assert.equal((await found(world, id, UNSENT)).count, 0, 'one has arrived, one is on its way')
  await world.sql(
    `update deliveries set state = 'failed', ended_at = now() where state = 'pending'`,
  )
  assert.equal((await found(world, id, UNSENT)).count, 1)
  assert.equal((await found(world, id)).count, 2)
})

test('an endpoint that is enabled again is offered what failed and what it was not sent', async (t) => {
  const { world, turn, endpoint, disabled } = await delivering(t, 2)
  const down: Answer = (response) => void response.writeHead(500).end()
  const to = await receiver(t, down)
  const { id } = await endpoint(to.url)
  await succeed(world, 4)
  for (let call = 1; call <= 10; call += 1) {
    await delivered(turn)
    world.clock.advance(25 * 3_600_000)
  }
  assert.deepEqual(disabled, [`${id} silent`])
  await succeed(world, 3)
  await delivered(turn)
  const before = await readEndpoint(world.db.global, id)
  assert.ok(before?.state === 'disabled')
  await editEndpoint(world.db, id, { state: 'enabled' }, BY)
  to.answers.splice(0, 1, status(200))
  to.received.splice(0)
  await delivered(turn)
  assert.equal(to.received.length, 0, 'nothing of it is sent by itself')

  const missed = await planMissed(world.db, before, 'jane')
  assert.equal(missed.count, 7)
  await start(world.world, missed.snapshot, { ...START, endpointId: id })
  await carriedOut(world)
  await delivered(turn)
  assert.equal(new Set(to.received.map((one) => one.id)).size, 7)
  const kept = await world.sql<object>(`select from events where type = 'payment.succeeded'`)
  assert.equal(kept.length, 7)
  assert.ok((await states(world)).every(({ state }) => state === 'delivered'))
})

test('however often the types of an endpoint changed, a bounded number of changes is read, and what it wanted only before them is not missed', async (t) => {
  const { world, endpoint } = await delivering(t)
  const { id } = await endpoint('http://127.0.0.1:9/')
  await succeed(world)
  await feed(world.db)
  world.clock.advance(1_000)
  await editEndpoint(world.db, id, { state: 'disabled' }, BY)
  const missed = async () => {
    const before = await readEndpoint(world.db.global, id)
    return (await planMissed(world.db, before ?? assert.fail('it is there'), 'jane')).count
  }
  await world.sql('delete from deliveries')
  const change = (count: number) =>
    world.sql(
      `insert into endpoint_acts (id, endpoint_id, act, before, after, created_at)
       select nextval('endpoint_act_ids'), $1, 'change', '{"types": ["payment.failed", "x"]}',
         '{"types": ["payment.failed", "y"]}', $2
       from generate_series(1, $3)`,
      [id, world.clock.now(), count],
    )
  await change(999)
  assert.equal(await missed(), 1)
  await change(1)
  assert.equal(await missed(), 0)
})

test('what happened before an endpoint was made, or wanted its type, is nothing that it missed', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  await want(world, ['payment.*'])
  await succeed(world, 4)
  await delivered(turn)
  world.clock.advance(1_000)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url, { types: ['dead_letter.opened'] })
  await succeed(world, 3)
  await delivered(turn)
  world.clock.advance(1_000)
  await editEndpoint(world.db, id, { types: ['dead_letter.opened', 'payment.succeeded'] }, BY)
  const missed = async () => {
    const before = await readEndpoint(world.db.global, id)
    return (await planMissed(world.db, before ?? assert.fail('it is there'), 'jane')).count
  }
  await editEndpoint(world.db, id, { state: 'disabled' }, BY)
  assert.equal(await missed(), 0)
  await succeed(world, 2)
  await feed(world.db)
  assert.equal(await missed(), 2, 'what happens while it is disabled is missed')
  world.clock.advance(1_000)
  await editEndpoint(world.db, id, { types: ['dead_letter.opened'] }, BY)
  await editEndpoint(world.db, id, { types: ['payment.*'] }, BY)
  assert.equal(await missed(), 0, 'it wants them again from now on')
})

test('a replay keeps its rate, and what it has not reached is not sent once it is canceled', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 12)
  await delivered(turn)
  to.received.splice(0)
  const { snapshot } = await found(world, id)
  await start(world.world, snapshot, { ...START, ratePerSecond: 4, endpointId: id })
  assert.equal(await step(world.world, null), 4)
  assert.equal(await step(world.world, null), null, 'the next second is not there yet')
  assert.equal(await turn(), 1, 'a second’s worth is spread over it')
  world.clock.advance(1_000)
  await delivered(turn)
  assert.equal(await step(world.world, null), 4)
  const running = await readReplay(world.db, id, snapshot)
  assert.deepEqual(
    [running?.run.position, running?.delivered, running?.pending, running?.run.state],
    [8, 4, 4, 'running'],
  )
  const canceled = await cancel(world.world, snapshot, 'jane', id)
  assert.ok(canceled.kind === 'run' && canceled.run.canceledBy === 'jane')
  await carriedOut(world)
  await delivered(turn)
  assert.equal(to.received.length, 8)
  assert.deepEqual(await cancel(world.world, snapshot, 'jane', id), {
    kind: 'refused',
    refusal: { code: 'replay_not_running' },
  })
})

test('events no longer kept are skipped, and a replay ends when its endpoint was removed', async (t) => {
  const { world, turn, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const { id } = await endpoint(to.url)
  await succeed(world, 3)
  await delivered(turn)
  const one = await found(world, id)
  const two = await found(world, id)
  await world.sql('delete from events where id = (select min(id) from events)')
  await start(world.world, one.snapshot, { ...START, endpointId: id })
  await carriedOut(world)
  const first = await readRun(world.db.global, one.snapshot, id)
  assert.deepEqual([first?.carriedOut, first?.skipped, first?.state], [2, 1, 'done'])
  await start(world.world, two.snapshot, { ...START, endpointId: id })
  await dropEndpoint(world.db, id, BY)
  await carriedOut(world)
  const second = await readRun(world.db.global, two.snapshot, id)
  assert.deepEqual([second?.carriedOut, second?.skipped, second?.state], [0, 0, 'canceled'])
  assert.equal(second?.canceledBy, null, 'nobody asked for it')
})

test('a snapshot of events is none of letters, and belongs to its endpoint', async (t) => {
  const { world, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  const [one, other] = [await endpoint(to.url), await endpoint(to.url)]
  await succeed(world)
  const { snapshot } = await found(world, one.id)
  const none = (code: string) => ({ kind: 'refused', refusal: { code } })
  assert.deepEqual(await start(world.world, snapshot, START), none('redrive_not_found'))
  const elsewhere = { ...START, endpointId: other.id }
  assert.deepEqual(await start(world.world, snapshot, elsewhere), none('replay_not_found'))
  const own = { ...START, endpointId: one.id }
  const begun = await start(world.world, snapshot, own)
  assert.ok(begun.kind === 'run')
  assert.deepEqual(await start(world.world, snapshot, own), none('replay_started'))
  const [row] = await world.sql<{ state: string }>('select state from redrives')
  assert.notEqual(row?.state, 'running', 'the version before would take it for a redrive')
  assert.deepEqual(await cancel(world.world, snapshot, 'joe'), none('redrive_not_found'))
  world.clock.advance(16 * 60_000)
  const old = await found(world, one.id)
  world.clock.advance(16 * 60_000)
  assert.deepEqual(await start(world.world, old.snapshot, own), none('replay_expired'))
})

test('replays are started, seen, listed, canceled and recorded by API, and enabling offers one', async (t) => {
  const { call } = await serve(t)
  await call('PUT', '/mock-gateway/faults', NO_FAULTS)
  const to = await receiver(t, status(200))
  const jane = { 'x-actor': 'jane' }
  const made = await call('POST', '/webhook-endpoints', { url: to.url, types: ['payment.*'] }, jane)
  assert.equal(made.status, 201)
  await call('PATCH', '/webhook-endpoints/1', { state: 'disabled' }, jane)
  const user = await call('POST', '/users/', { balance: 10 })
  // At one a second they take so long that the replay is still under way when it is canceled.
  const payments = 40
  for (let paid = 0; paid < payments; paid += 1) {
    await call('POST', '/payments/deposit', { user_id: user.body['id'], deposit: 20 })
  }
  const ended = async () => {
    const { body } = await call('GET', `/events?type=payment.succeeded&limit=${payments}`)
    return (body['data'] as unknown[]).length === payments
  }
  while (!(await ended())) continue
  const enabled = await call('PATCH', '/webhook-endpoints/1', { state: 'enabled' }, jane)
  const missed = enabled.body['missed'] as Record<string, unknown>
  assert.deepEqual([missed['count'], missed['matching']], [payments, payments])
  const same = await call('PATCH', '/webhook-endpoints/1', { state: 'enabled' }, jane)
  const once = same.body['missed'] as Record<string, unknown>
  assert.equal(once['count'], payments, 'who lost the answer is told again')
  const other = await call('PATCH', '/webhook-endpoints/1', { description: 'shop' }, jane)
  assert.ok(!('missed' in other.body), 'nobody asked to enable it')

  const path = '/webhook-endpoints/1/replays'
  const wrong = { filter: { created_after: '9999-99-99T00:00:00Z' }, dry_run: true }
  assert.equal((await call('POST', path, wrong)).status, 400)
  const dry = await call('POST', path, { filter: { only: 'undelivered' }, dry_run: true }, jane)
  assert.deepEqual([dry.status, dry.body['count']], [200, payments])
  const asked = { snapshot: dry.body['snapshot'], reason: 'It was away', rate_per_second: 1 }
  const key = { ...jane, 'idempotency-key': 'once' }
  const begun = await call('POST', path, asked, key)
  const again = await call('POST', path, asked, key)
  assert.deepEqual([begun.status, again.status], [202, 202])
  assert.equal(again.headers.get('idempotent-replayed'), 'true')
  const one = `${path}/${begun.body['id']}`
  assert.equal(begun.headers.get('location'), `/api/v1${one}`)
  assert.equal((await call('GET', one)).body['total'], payments)
  assert.equal((await call('GET', `/webhook-endpoints/2/replays/1`)).status, 404)
  const listed = (await call('GET', path)).body['data'] as { readonly id: number }[]
  assert.deepEqual(
    listed.map(({ id }) => id),
    [begun.body['id']],
  )
  const polled = await call('POST', '/webhook-endpoints', { types: ['payment.*'] }, jane)
  const ofPolled = `/webhook-endpoints/${polled.body['id']}/replays`
  const empty = await call('GET', ofPolled)
  assert.deepEqual([empty.status, empty.body['data']], [200, []])
  const nowhere = await call('POST', ofPolled, { filter: {}, dry_run: true }, jane)
  assert.equal(nowhere.body['code'], 'endpoint_not_called')
  const canceled = await call('POST', `${one}/cancel`, undefined, { 'x-actor': 'joe' })
  assert.deepEqual([canceled.status, canceled.body['canceled_by']], [200, 'joe'])
  assert.equal((await call('POST', `${one}/cancel`, undefined, jane)).status, 409)
  const { body } = await call('GET', '/webhook-endpoints/1/acts')
  const acts = body['data'] as { act: string; actor: string; after: Record<string, unknown> }[]
  assert.deepEqual(
    acts
      .slice(0, 2)
      .map(({ act, actor }) => `${act} ${actor}`)
      .sort(),
    ['cancel_replay joe', 'replay jane'],
  )
  assert.deepEqual([acts[0]?.after['reason'], acts[0]?.after['events']], ['It was away', payments])
})

test('payments webhooks replay counts, sends and says how it ended, in a terminal', async (t) => {
  const { world, endpoint } = await delivering(t)
  const to = await receiver(t, status(200))
  await endpoint(to.url)
  await succeed(world, 3)
  while ((await feed(world.db)) > 0) continue
  const replay = (...args: string[]) =>
    run(t, ['webhooks', 'replay', ...args], { DATABASE_URL: world.url, SHARDS: '1' })
  const dry = await replay('1', '--dry-run')
  assert.match(dry.stdout, /^3 events of .* would be sent again:\n {2}3 payment\.succeeded\n$/)
  const none = await replay('1', '--dry-run', '--after', '2031-01-01')
  assert.equal(none.stdout, 'No event matches.\n')
  assert.equal((await replay('1', '--reason', 'lost')).code, 2, 'nobody can be asked')
  assert.match((await replay('9', '--dry-run')).stderr, /endpoint_not_found/)
  const done = await replay('1', '--reason', 'lost', '--yes', '--json')
  const body = JSON.parse(done.stdout) as Record<string, unknown>
  assert.deepEqual(
    [done.code, body['state'], body['sent'], body['pending'], body['reason']],
    [0, 'done', 3, 3, 'lost'],
  )
  assert.match(
    (await run(t, ['webhooks', 'enable', '1'], { DATABASE_URL: world.url, SHARDS: '1' })).stdout,
    /enabled/,
  )
})
