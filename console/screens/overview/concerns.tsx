import type { State } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { named, Sign, type Tone } from '../../parts/basics.tsx'
import { words } from '../../words/words.ts'

interface Concern {
  readonly tone: Tone
  readonly text: string
  readonly href: string
}

/** What a person should look at now, worst first; or that there is nothing. */
export function Concerns({ state }: { state: State }) {
  const w = words.value
  const concerns = [...ofBooks(state), ...ofWork(state), ...ofLetters(state), ...ofWebhooks(state)]
  if (concerns.length === 0) {
    return (
      <p class="sentence concern">
        <Sign tone="good" /> {w.allWell}
      </p>
    )
  }
  return (
    <ul class="concerns">
      {concerns.map(({ tone, text, href }) => (
        <li key={text} class="sentence concern">
          <Sign tone={tone} /> <a href={href}>{text}</a>
        </li>
      ))}
    </ul>
  )
}

function ofBooks({ books: { recent, full } }: State): Concern[] {
  const violations = Math.max(recent?.violations ?? 0, full?.violations ?? 0)
  if (violations === 0) return []
  return [{ tone: 'bad', text: words.value.booksConcern(violations), href: hrefOf('ledger') }]
}

function ofWork({ worker, gateways }: State): Concern[] {
  const w = words.value
  const idle: Concern = { tone: 'bad', text: w.workerConcern, href: hrefOf('gateways') }
  const cut = gateways
    .filter(({ breaker, misconfigured }) => breaker !== 'closed' || misconfigured)
    .map(({ gateway, operation, misconfigured }): Concern => {
      const what = named(w.operations, operation)
      const text = misconfigured ? w.misconfigured(gateway, what) : w.breakerOpen(gateway, what)
      return { tone: misconfigured ? 'bad' : 'doubt', text, href: hrefOf('gateways') }
    })
  return worker === 'ok' ? cut : [idle, ...cut]
}

function ofLetters({ letters: { unknown, failed } }: State): Concern[] {
  const w = words.value
  const href = hrefOf('dead-letters')
  const all: Concern[] = []
  if (unknown.count > 0) all.push({ tone: 'doubt', text: w.unknownConcern(unknown.count), href })
  if (failed.count > 0) all.push({ tone: 'bad', text: w.failedConcern(failed.count), href })
  return all
}

function ofWebhooks({ webhooks: { failing, disabled } }: State): Concern[] {
  const off = failing + disabled
  if (off === 0) return []
  return [{ tone: 'doubt', text: words.value.webhooksConcern(off), href: hrefOf('webhooks') }]
}
