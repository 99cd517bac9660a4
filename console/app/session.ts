import { computed, effect, signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { Answer } from '../exact/answer.ts'
import { nextPollMs } from '../exact/poll.ts'
import { get, signedOut, send } from './api.ts'
import { hidden, wasTouched } from './feed.ts'

/** Who is looking, what they may do, and which service this is. */
interface Session {
  readonly authenticated: boolean
  readonly keys_required: boolean
  readonly session_id: string | null
  readonly key_id: string | null
  readonly key_name: string | null
  readonly scopes: readonly string[]
  readonly expires_at: string | null
  readonly service: {
    readonly title: string
    readonly version: string
    readonly environment: string | null
    readonly currency: string | null
    readonly mock_gateway: boolean
  }
}

export const session = signal<Session | null>(null)

/** The currency of the books; null: not known yet. */
export const currency = computed(() => session.value?.service.currency ?? null)

/** Whether the viewer may do what needs a scope; the API decides in the end. */
export function may(scope: 'write' | 'refund' | 'operate'): boolean {
  return session.value?.scopes.includes(scope) ?? false
}

/** Names what was answered last, so that the same is not sent again. */
let etag: string | null = null

/** Find out who is looking. Screens are drawn beside it: what they show the API decides. */
export async function readSession(): Promise<void> {
  const answer = await get<Session>('/session', etag, !wasTouched())
  if (answer.kind !== 'ok') return
  etag = answer.etag
  take(answer.data)
}

/**
 * Follow who is looking, where somebody has to sign in: on every screen, also on one that asks for
 * nothing else, and also while updates are paused, since the end of a session is no update.
 */
export function useSession(): void {
  const required = session.value?.keys_required === true
  useEffect(() => {
    if (!required) return
    let timer: ReturnType<typeof setTimeout> | undefined
    let over = false
    const plan = () => {
      clearTimeout(timer)
      const wait = nextPollMs({ paused: false, hidden: hidden.value, failures: 0 }, Math.random())
      if (wait !== null && !over) timer = setTimeout(() => void readSession().then(plan), wait)
    }
    const end = effect(plan)
    return () => {
      over = true
      end()
      clearTimeout(timer)
    }
  }, [required])
}

/** Exchange an API key for a session. */
export async function signIn(key: string): Promise<Answer<unknown>> {
  const answer = await send('POST', '/session', { key })
  etag = null
  if (answer.kind === 'ok') await readSession()
  return answer
}

export async function signOut(): Promise<void> {
  await send('DELETE', '/session')
  await readSession()
}

function take(known: Session): void {
  const before = session.peek()?.key_id
  // Another person has signed in, in another tab: nothing of before is theirs.
  if (!signedOut.peek() && before && known.key_id && before !== known.key_id) location.reload()
  session.value = known
  signedOut.value = known.keys_required && !known.authenticated
}
