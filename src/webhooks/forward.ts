import { messageId, wantedTypes } from '../domain/event.ts'
import { signedHeaders } from '../domain/webhook-signature.ts'
import { eachShard, whole } from '../each-shard.ts'
import { pageOfEvents } from '../events/read.ts'
import { newestPosition, type StoredEvent } from '../events/store.ts'
import type { Clock, Db } from '../ports.ts'
import { every } from '../queue/every.ts'
import type { Send } from './deliver.ts'
import { addEndpoint, dropEndpoint } from './endpoints.ts'
import { readEndpoint, type EndpointBy } from './store.ts'

/** What listening to the events of a service needs. */
interface ListenWorld {
  readonly db: Db
  readonly clock: Clock
  /** Calls the address that events are forwarded to. */
  readonly forward: Send
  readonly key: Buffer
  readonly agent: string
}

/** What is to be heard, and where it goes. */
interface Listening {
  /** Types of events and kinds, as an endpoint has them. */
  readonly types: readonly string[]
  /** Where events go; null: they are only shown. */
  readonly url: string | null
  /** What forwarded events are signed with. */
  readonly secret: string
  readonly by: EndpointBy
  /** Told once, when every event from now on is heard. */
  readonly onReady: () => void
  readonly onEvent: (heard: Heard) => void
  /** Told of what goes wrong between two looks; the next one comes all the same. */
  readonly onError: (error: unknown) => void
}

/** An event, and what came of forwarding it; null: it was only shown. */
export interface Heard {
  readonly event: StoredEvent
  readonly called: Awaited<ReturnType<Send>> | null
}

/** Why nothing more is heard: there was no room for it, or its subscription was taken away. */
type HowEnded = 'stopped' | 'full' | 'removed' | 'disabled'

/** How often new events are looked for, in milliseconds, and how many are read at once. */
const LOOK_MS = 250
const PAGE = 100

/** What stands in the list of endpoints while somebody listens. */
const DESCRIPTION = 'payments webhooks listen'

/**
 * Hear events as they happen, in the order of the feed, and forward each once, signed as a delivery
 * is; one that fails is not sent again. It subscribes as somebody who polls does, so the service
 * need not reach this machine. Ends when `signal` aborts, and takes its subscription away. Somebody
 * else who removes or disables that means that nothing is to be heard, so it ends and says so.
 */
export async function forwardEvents(
  world: ListenWorld,
  how: Listening,
  signal: AbortSignal,
): Promise<HowEnded> {
  const { db, clock, key } = world
  // Read first: what happens while it subscribes is heard if somebody wants it already.
  let after = whole(await eachShard(db.shards, newestPosition))
  const draft = { url: null, types: how.types, description: DESCRIPTION } as const
  const listener = { ...draft, payload: 'full', ordered: false } as const
  const made = await addEndpoint(db, listener, how.by, key)
  if (made.kind === 'refused') return 'full'
  const lost = new AbortController()
  let ended: HowEnded = 'stopped'
  try {
    how.onReady()
    const looking = every(
      clock,
      LOOK_MS,
      async (stopping) => {
        const now = await readEndpoint(db.global, made.endpoint.id)
        const page = await pageOfEvents(db, after, wantedTypes(how.types), PAGE)
        for (const event of page.events) {
          if (stopping.aborted) return false
          how.onEvent({ event, called: await forwarded(world, how, event, stopping) })
        }
        after = [...page.next]
        if (now?.state === 'enabled') return page.events.length > 0
        ended = now === null ? 'removed' : 'disabled'
        lost.abort()
        return false
      },
      how.onError,
    )
    await aborted(AbortSignal.any([signal, lost.signal]))
    await looking.stop()
  } finally {
    await dropEndpoint(db, made.endpoint.id, how.by)
  }
  return ended
}

async function forwarded(
  { forward, clock, agent }: ListenWorld,
  { url, secret }: Listening,
  { id, body }: StoredEvent,
  signal: AbortSignal,
): Promise<Heard['called']> {
  if (url === null) return null
  const headers = {
    'content-type': 'application/json',
    'user-agent': agent,
    ...signedHeaders({ id: messageId(id), body }, [secret], clock.now()),
  }
  return forward({ url, headers, body }, signal)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
