import { useEffect, useState } from 'preact/hooks'
import type { Problem } from './shapes.ts'
import { readSession, signIn } from './session.ts'
import { words } from '../words/words.ts'

/** Asks for an API key; it is exchanged for a session and not kept. */
export function SignIn() {
  const w = words.value
  const [problem, setProblem] = useState<Problem | 'away' | null>(null)
  // Somebody may have signed in in another tab.
  useEffect(() => {
    const look = () => void readSession()
    addEventListener('focus', look)
    return () => removeEventListener('focus', look)
  }, [])
  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault()
    const form = new FormData(event.target as HTMLFormElement)
    const answer = await signIn(String(form.get('key') ?? '').trim())
    if (answer.kind === 'refused') setProblem(answer.problem)
    else if (answer.kind !== 'ok') setProblem('away')
  }
  const said =
    problem === 'away' ? w.apiAway : problem?.status === 401 ? w.keyUnknown : problem?.detail
  return (
    <main class="sign-in">
      <form onSubmit={(event) => void submit(event)}>
        <h1>{w.signIn}</h1>
        <p class="lead">{w.signInLead}</p>
        <div class="field">
          <label for="key">{w.apiKey}</label>
          <input id="key" name="key" type="password" required autocomplete="current-password" />
        </div>
        <p class="problem" role="alert">
          {said ?? ''}
        </p>
        <button class="primary" type="submit">
          {w.signIn}
        </button>
        <p class="quiet">{w.makeKey}</p>
        <pre class="command">
          node dist/main.js keys create --name jane --scopes read,refund,operate
        </pre>
      </form>
    </main>
  )
}
