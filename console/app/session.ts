import { computed, signal } from '@preact/signals'
import { get, signedOut, type Answer, send } from './api.ts'

/** Who is looking, what they may do, and which service this is. */
interface Session {
  readonly authenticated: boolean
  readonly keys_required: boolean
  readonly key_id: string | null
  readonly key_name: string | null
  readonly scopes: readonly string[]
  readonly expires_at: string | null
  readonly console: {
    readonly version: string
    readonly app: string
    readonly currency: string
    readonly environment: string
    readonly mock_gateway: boolean
  }
}

export const session = signal<Session | null>(null)

/** The currency of the books. */
export const currency = computed(() => session.value?.console.currency ?? 'USD')

/** Whether the viewer may use what needs a scope; the API decides in the end. */
export function may(scope: 'write' | 'refund' | 'operate'): boolean {
  const held = session.value?.scopes ?? []
  return held.includes(scope)
}

/** Find out who is looking. */
export async function readSession(): Promise<void> {
  take(await get<Session>('/session'))
}

/** Exchange an API key for a session. */
export async function signIn(key: string): Promise<Answer<Session>> {
  const answer = await send<Session>('POST', '/session', { key })
  take(answer)
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
