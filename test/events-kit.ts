import assert from 'node:assert/strict'
import { pageOfEvents } from '../src/events/read.ts'
import type { StoredEvent } from '../src/events/store.ts'
import { addEndpoint } from '../src/webhooks/endpoints.ts'
import type { TestWorld } from './harness.ts'
import { BY, KEY } from './webhooks-kit.ts'

/** Make an endpoint that is polled and wants these types. Returns its id. */
export async function want(world: TestWorld, types: readonly string[]) {
  const draft = { url: null, types, description: null, payload: 'full', ordered: false } as const
  const made = await addEndpoint(world.db, draft, BY, KEY)
  assert.ok(made.kind === 'made')
  return made.endpoint.id
}

/** Everything that a poller sees, page by page, until there is no more. */
export async function polled(world: TestWorld, limit = 2): Promise<StoredEvent[]> {
  const seen: StoredEvent[] = []
  let after = world.db.shards.map(() => 0n)
  for (;;) {
    const { events, next } = await pageOfEvents(world.db, after, null, limit)
    seen.push(...events)
    if (next.every((position, index) => position === after[index])) return seen
    after = [...next]
  }
}

/** A promise, and what resolves it. */
export function gate(): [promise: Promise<void>, open: () => void] {
  let open = () => undefined as void
  const promise = new Promise<void>((resolve) => (open = resolve))
  return [promise, () => open()]
}
