import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cloneDatabase, query } from './databases.ts'
import { API, FAST, get, post, send, until } from './process-kit.ts'
import { launch } from './programs.ts'
import { receiver, status } from './webhooks-kit.ts'

const KEEP_DAYS = 7

/** Events of the past, by what became of their deliveries to endpoint 1; `none`: none was made. */
const PAST = [
  { id: 101, days: 40, delivery: 'delivered' },
  { id: 102, days: 40, delivery: 'pending' },
  { id: 103, days: 20, delivery: 'failed' },
  { id: 104, days: 9, delivery: 'none' },
  { id: 105, days: 8, delivery: 'pending' },
  { id: 106, days: 6, delivery: 'delivered' },
  { id: 107, days: 1, delivery: 'none' },
] as const

const BODY = '{"type":"payment.succeeded","timestamp":"2030-01-01T00:00:00.000Z","data":{}}'

/** Put them in as if the service had written and placed them then. */
async function putPast(database: string): Promise<void> {
  for (const [index, { id, days, delivery }] of PAST.entries()) {
    const at = `now() - interval '${days} days'`
    await query(
      database,
      `insert into events (shard, id, payment_id, type, sequence, body, created_at, position)
       values (0, ${id}, ${id}, 'payment.succeeded', 1, '${BODY}', ${at}, ${index + 1})`,
    )
    if (delivery === 'none') continue
    await query(
      database,
      `insert into deliveries (shard, event_id, endpoint_id, payment_id, position, state, run_at,
         attempts, created_at, ended_at)
       values (0, ${id}, 1, ${id}, ${index + 1}, '${delivery}', ${at}, 1, ${at},
         case when '${delivery}' <> 'pending' then ${at} end)`,
    )
    await query(
      database,
      `insert into delivery_attempts
         (shard, event_id, endpoint_id, fence, started_at, took_ms, status)
       values (0, ${id}, 1, 1, ${at}, 5, 500)`,
    )
  }
  await query(database, `update event_wants set position = ${PAST.length}`)
}

test('a process drops events older than they are kept, and none that somebody still waits for', async (t) => {
  const database = await cloneDatabase(t)
  const env = { ...FAST, DATABASE_URL: database, EVENTS_KEEP_DAYS: String(KEEP_DAYS) }
  const kept = async () => {
    const rows = await query<{ id: bigint }>(
      database,
      `select id from events
       where exists (select from deliveries where event_id = id)
         = exists (select from delivery_attempts where event_id = id)
       order by id`,
    )
    return rows.map(({ id }) => Number(id))
  }
  const to = await receiver(t, status(204))
  const first = await launch(t, 'start', env)
  const endpoint = `${API}/webhook-endpoints`
  await post(first.url + endpoint, { url: to.url, types: ['payment.*'] })
  await post(first.url + endpoint, { types: ['payment.*'] })
  const turn = (url: string, state: string) =>
    send(`${url}${endpoint}/1`, 'PATCH', JSON.stringify({ state }))
  assert.equal((await turn(first.url, 'disabled')).status, 200)
  const begun = await get<{ next_cursor: string }>(`${first.url}${API}/events`)
  await first.end('SIGTERM')
  await putPast(database)

  // Of those over a week old, what a disabled endpoint has not got stays; nobody waits for others.
  const second = await launch(t, 'start', env)
  const waiting = [102, 105, 106, 107]
  await until('old events are gone', async () => (await kept()).length === waiting.length)
  assert.deepEqual(await kept(), waiting)
  const page = await get<{ data: { id: string }[]; dropped: boolean }>(
    `${second.url}${API}/events?after=${begun.next_cursor}`,
  )
  assert.deepEqual(
    page.data.map(({ id }) => id),
    waiting.map((id) => `msg_${id}`),
  )
  assert.equal(page.dropped, true, 'who polls is told that some are gone')

  await turn(second.url, 'enabled')
  await until('what waited arrives', () => to.received.length >= 2)
  assert.deepEqual(to.received.map(({ id }) => id).toSorted(), ['msg_102', 'msg_105'])
  const delivered = `select 1 from deliveries where state = 'delivered'`
  await until('it is written', async () => (await query(database, delivered)).length === 3)
  await second.end('SIGTERM')

  const third = await launch(t, 'start', env)
  await until('it goes as well', async () => (await kept()).length === 2)
  assert.deepEqual(await kept(), [106, 107])
  await third.end('SIGTERM')
})
