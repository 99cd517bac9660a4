import { computed, signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import { get, signedOut, type Answer, send } from './api.ts'
import { useFeed } from './feed.ts'

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

/** The currency of the books. */
export const currency = computed(() => session.value?.service.currency ?? 'USD')

/** Whether the viewer may do what needs a scope; the API decides in the end. */
export function may(scope: 'write' | 'refund' | 'operate'): boolean {
  return session.value?.scopes.includes(scope) ?? false
}

/** Find out who is looking. */
export async function readSession(): Promise<void> {
  const answer = await get<Session>('/session')
  if (answer.kind === 'ok') take(answer.data)
}

/**
 * Follow who is looking, on every screen: one that asks for nothing else sees the end of a session
 * as well.
 */
export function useSession(): void {
  const { data } = useFeed<Session>('/session').known.value
  // What was answered before may be of another session.
  const [before] = useState(data)
  useEffect(() => {
    if (data !== null && data !== before) take(data)
  }, [data])
}

/** Exchange an API key for a session. */
export async function signIn(key: string): Promise<Answer<unknown>> {
  const answer = await send('POST', '/session', { key })
  if (answer.kind === 'ok') await readSession()
  return answer
}

export async function signOut(): Promise<void> {
  await send('DELETE', '/session')
  await readSession()
}

function take(known: Session): void {
  session.value = known
  signedOut.value = known.keys_required && !known.authenticated
}
