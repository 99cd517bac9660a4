import { computed, signal } from '@preact/signals'
import { get, signedOut, type Answer, send } from './api.ts'

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
  take(await get<Session>('/session'))
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

function take(answer: Answer<Session>): void {
  if (answer.kind !== 'ok') return
  session.value = answer.data
  signedOut.value = answer.data.keys_required && !answer.data.authenticated
}
