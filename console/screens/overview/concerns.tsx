import type { DeadLetter, Health } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { named, Sign, type Tone } from '../../parts/basics.tsx'
import { words } from '../../words/words.ts'

interface Concern {
  readonly tone: Tone
  readonly text: string
  readonly href: string
}

/** What a person should look at now, worst first; or that there is nothing. */
export function Concerns(props: { health: Health | null; letters: readonly DeadLetter[] | null }) {
  const w = words.value
  const { health, letters } = props
  if (health === null || letters === null) return <p class="quiet loading">{w.loading}</p>
  const concerns = [...ofHealth(health), ...ofLetters(letters)]
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

function ofHealth({ database, worker, gateways }: Health): Concern[] {
  const w = words.value
  const concerns: Concern[] = []
  if (database !== 'ok') {
    const said = named(w.states, database)
    concerns.push({ tone: 'bad', text: w.databaseConcern(said), href: hrefOf('settings') })
  }
  if (worker !== 'ok')
    concerns.push({ tone: 'bad', text: w.workerConcern, href: hrefOf('settings') })
  for (const { gateway, operation, breaker, misconfigured } of gateways) {
    if (breaker === 'closed' && !misconfigured) continue
    const what = named(w.operations, operation)
    const text = misconfigured ? w.misconfigured(gateway, what) : w.breakerOpen(gateway, what)
    concerns.push({ tone: misconfigured ? 'bad' : 'doubt', text, href: hrefOf('gateways') })
  }
  return concerns
}

function ofLetters(letters: readonly DeadLetter[]): Concern[] {
  const w = words.value
  const unknown = letters.filter((one) => one.class === 'unknown').length
  const failed = letters.length - unknown
  const href = hrefOf('dead-letters')
  const all: Concern[] = [
    { tone: 'doubt', text: w.unknownConcern(unknown), href },
    { tone: 'bad', text: w.failedConcern(failed), href },
  ]
  return all.filter(({ tone }) => (tone === 'doubt' ? unknown : failed) > 0)
}
