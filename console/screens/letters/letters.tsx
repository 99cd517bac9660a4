import { useState } from 'preact/hooks'
import { useFeed } from '../../app/feed.ts'
import { filter, route } from '../../app/router.ts'
import { may } from '../../app/session.ts'
import type { DeadLetter, LetterGroups } from '../../app/shapes.ts'
import { causesOf, type Cause } from '../../exact/letters.ts'
import { hrefOf } from '../../exact/route.ts'
import { Empty, Money, named, Section, State, When } from '../../parts/basics.tsx'
import { saveCsv } from '../../parts/save.ts'
import { LeftOut, Loaded, ScreenFrame } from '../../parts/screen.tsx'
import { Pages, Table } from '../../parts/table.tsx'
import { count, words } from '../../words/words.ts'
import { askRedriveChosen } from './chosen.ts'
import { askDryRun } from './dry-run.tsx'
import { Run } from './run.tsx'

const LIMIT = 100
/** What a file of letters has of each. */
const COLUMNS = [
  'id',
  'payment_id',
  'type',
  'class',
  'error',
  'state',
  'amount',
  'currency',
  'user_id',
  'attempts',
  'created_at',
] as const
/** The API skips no more than so many. */
const OFFSET_MAX = 10_000
const STATES = ['open', 'redriven', 'resolved'] as const

/** What failed or could not be finished: grouped by what is wrong, and repeated together. */
export function DeadLetters() {
  const w = words.value
  const { query } = route.value
  const state = query['state'] ?? 'open'
  const feed = useFeed<readonly DeadLetter[]>(`/dlq?${askedOf(query)}`)
  const groups = useFeed<LetterGroups>('/dlq/groups')
  const letters = feed.known.value.data ?? []
  const run = query['run']
  return (
    <ScreenFrame
      title={w.screens['dead-letters']}
      lead={w.lettersLead}
      acts={
        <button
          type="button"
          disabled={letters.length === 0}
          onClick={() =>
            saveCsv(
              'dead-letters',
              COLUMNS,
              letters.map((one) => ({ ...one, type: one.payment_type })),
            )
          }
        >
          {w.csv}
        </button>
      }
    >
      {run === undefined ? null : <Run id={run} />}
      <div class="filters">
        <div class="segments" role="group" aria-label={w.state}>
          {STATES.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === state}
              onClick={() => filter({ ...NO_CAUSE, state: one })}
            >
              {w.letterStates[one]}
            </button>
          ))}
        </div>
      </div>
      <LeftOut feed={groups} />
      <Loaded feed={feed}>
        {(known) =>
          known.length === 0 && query['error'] === undefined && query['offset'] === undefined ? (
            <Empty title={w.noLetters}>
              <p>{w.noLettersLead}</p>
            </Empty>
          ) : (
            <>
              {state === 'open' ? <Causes /> : null}
              <Letters letters={known} open={state === 'open'} />
            </>
          )
        }
      </Loaded>
    </ScreenFrame>
  )
}

/** No cause is chosen, and the list begins at its newest. */
const NO_CAUSE = { class: '', error: '', offset: '' }

/** What is asked of the API: the letters of a state, and of a cause if one is chosen. */
function askedOf(query: Readonly<Record<string, string>>): URLSearchParams {
  const { state = 'open', class: kind, error, offset } = query
  const cause = kind === undefined || error === undefined ? {} : { class: kind, error }
  const skipped = offset === undefined ? {} : { offset }
  return new URLSearchParams({ state, ...cause, ...skipped, limit: String(LIMIT) })
}

/** Open letters by what is wrong with them: all that there are, not those of the list alone. */
function Causes() {
  const w = words.value
  const { query } = route.value
  const acts = may('operate')
  const feed = useFeed<LetterGroups>('/dlq/groups')
  const causes = causesOf(feed.known.value.data?.data ?? [])
  return (
    <Section title={w.byCause}>
      <Table
        label={w.byCause}
        columns={[
          [w.cause],
          [w.letters, 'number'],
          [w.amount, 'number'],
          [w.oldest, 'wide number'],
          ...(acts ? [[w.redrive, 'unseen'] as const] : []),
        ]}
      >
        {causes.map((group) => (
          <tr key={`${group.class} ${group.error}`}>
            <th scope="row" class="wrap caused">
              <State state={group.class} />{' '}
              <button
                type="button"
                class="plain"
                aria-pressed={query['error'] === group.error && query['class'] === group.class}
                onClick={() => choose(group)}
              >
                {named(w.reasons, group.error)}
              </button>
            </th>
            <td class="number">{count(group.count)}</td>
            <td class="number">
              {group.sums.map(({ amount, currency }) => (
                <div key={currency}>
                  <Money amount={amount} currency={currency} />
                </div>
              ))}
            </td>
            <td class="wide number quiet">
              <When at={group.oldest} form="age" />
            </td>
            {acts ? (
              <td class="number">
                <button type="button" onClick={() => void askDryRun(group)}>
                  {w.redriveAll}
                </button>
              </td>
            ) : null}
          </tr>
        ))}
      </Table>
    </Section>
  )
}

/** Show the letters of one group, or of all again. */
function choose({ class: kind, error }: Cause): void {
  const { query } = route.peek()
  const shown = query['class'] === kind && query['error'] === error
  filter(shown ? NO_CAUSE : { class: kind, error, offset: '' })
}

function Letters({ letters, open }: { letters: readonly DeadLetter[]; open: boolean }) {
  const w = words.value
  const { offset } = route.value.query
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set())
  const picked = letters.filter(({ id }) => chosen.has(id))
  const acts = open && may('operate')
  function toggle(id: number): void {
    const next = new Set(chosen)
    if (!next.delete(id)) next.add(id)
    setChosen(next)
  }
  const redriveChosen = (
    <button
      type="button"
      disabled={picked.length === 0}
      onClick={() => askRedriveChosen(picked, () => setChosen(new Set()))}
    >
      {w.redriveChosen(picked.length)}
    </button>
  )
  return (
    <Section title={w.letters} aside={acts ? redriveChosen : null}>
      <Table
        label={w.letters}
        columns={[
          ...(acts ? [[w.choose, 'unseen'] as const] : []),
          [w.payment],
          [w.cause],
          [w.amount, 'number'],
          [w.attempts, 'wide number'],
          [w.when, 'wide number'],
        ]}
      >
        {letters.map((letter) => (
          <tr key={letter.id}>
            {acts ? (
              <td>
                <input
                  type="checkbox"
                  aria-label={w.chooseLetter(letter.id)}
                  checked={chosen.has(letter.id)}
                  onChange={() => toggle(letter.id)}
                />
              </td>
            ) : null}
            <Letter letter={letter} />
          </tr>
        ))}
      </Table>
      {letters.length === 0 ? <p class="quiet">{w.noLetters}</p> : null}
      <Pages cursor={offset} next={nextOffset(letters.length, offset)} name="offset" />
    </Section>
  )
}

/** Where the next page begins; null: there is none, or it is too far away. */
function nextOffset(shown: number, offset = '0'): string | null {
  const next = Number(offset) + LIMIT
  return shown < LIMIT || next > OFFSET_MAX ? null : String(next)
}

function Letter({ letter }: { letter: DeadLetter }) {
  const w = words.value
  return (
    <>
      <td>
        <a href={hrefOf('payments', letter.payment_id)}>
          <span class="quiet">{named(w.types, letter.payment_type)}</span> {letter.payment_id}
        </a>
      </td>
      <td class="clip wrap caused">
        <State state={letter.class} /> <span class="quiet">{named(w.reasons, letter.error)}</span>
      </td>
      <td class="number">
        <Money amount={letter.amount} currency={letter.currency} />
      </td>
      <td class="wide number">{letter.attempts}</td>
      <td class="wide number quiet">
        <When at={letter.created_at} />
      </td>
    </>
  )
}
