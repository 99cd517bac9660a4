import assert from 'node:assert/strict'
import { turnGateway } from '../tools/client.ts'
import { query } from './databases.ts'
import { CALM, MOCK, range, until } from './process-kit.ts'
import type { Served } from './serve.ts'

/** Clients that go on making payments, each again under its key until it has an answer. */
export interface SteadyLoad {
  /** The payments whose acceptance a client was told. */
  readonly accepted: ReadonlySet<unknown>
  /** How often each refusal was heard, such as `503 database_unavailable`. */
  readonly refusals: ReadonlyMap<string, number>
  /** Wait until so many more have been accepted. */
  more(count: number): Promise<void>
  /**
   * End the load, and prove at the database of this URL that every payment it was told of, and no
   * other, has succeeded, and that none was charged twice.
   */
  settle(database: string): Promise<void>
}

/** Begin to load a service whose only refusals may be those of a database that is away. */
export async function steadyLoad(service: Served, clients: number): Promise<SteadyLoad> {
  await turnGateway(service.url + MOCK, CALM)
  const user = (await service.call('POST', '/users', { balance: 0 })).body['id']
  const accepted = new Set<unknown>()
  const refusals = new Map<string, number>()
  let stopped = false
  const pay = async (key: string): Promise<void> => {
    for (;;) {
      const body = { user_id: user, deposit: 1 }
      const reply = await service.call('POST', '/payments/deposit', body, {
        'idempotency-key': key,
      })
      if (reply.status === 202) return void accepted.add(reply.body['payment_id'])
      const code = `${reply.status} ${String(reply.body['code'])}`
      assert.match(code, /^503 (database_unavailable|outcome_unknown)$/)
      assert.ok(reply.headers.get('retry-after'))
      refusals.set(code, (refusals.get(code) ?? 0) + 1)
    }
  }
  const client = async (number: number): Promise<void> => {
    for (let count = 0; !stopped; count += 1) await pay(`${number}-${count}`)
  }
  const ended = Promise.all(range(clients).map(client))
  return {
    accepted,
    refusals,
    async more(count) {
      const before = accepted.size
      await until('payments are accepted', () => accepted.size > before + count)
    },
    async settle(database) {
      stopped = true
      await ended
      const states = 'select status, count(*)::int as count from payments group by 1'
      const all = [{ status: 'success', count: accepted.size }]
      await until('all have succeeded', async () => {
        const rows = await query<{ status: string; count: number }>(database, states)
        return rows.length === 1 && rows[0]?.status === 'success'
      })
      assert.deepEqual(await query(database, states), all)
      const audit = (await service.call('GET', '/mock-gateway/audit')).body
      assert.deepEqual([audit['executed'], audit['charged_twice_count']], [accepted.size, 0])
    },
  }
}
