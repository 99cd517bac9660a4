import { send } from '../app/api.ts'
import { useFeed } from '../app/feed.ts'
import { may } from '../app/session.ts'
import type { Verification } from '../app/shapes.ts'
import { Section, State, When } from '../parts/basics.tsx'
import { perform } from '../parts/dialog.tsx'
import { LeftOutOf, Loaded } from '../parts/screen.tsx'
import { Table } from '../parts/table.tsx'
import { count, words } from '../words/words.ts'

const SCOPES = ['full', 'recent'] as const

/**
 * Checks of the books: the newest of everything and of what changed, each with its result by rule,
 * and a button that starts another. What one has found is not covered by the other.
 */
export function Verifications() {
  const w = words.value
  const feed = useFeed<{ data: readonly Verification[] }>('/ledger/verifications')
  const known = feed.known.value.data?.data ?? []
  const newest = SCOPES.flatMap((one) => known.find(({ scope }) => scope === one) ?? [])
  const start = () => perform(w.verify, send('POST', '/ledger/verifications'))
  const cancel = (id: number) =>
    perform(w.verify, send('POST', `/ledger/verifications/${id}/cancel`))
  const button = may('operate') ? (
    <button type="button" disabled={newest[0]?.state === 'running'} onClick={() => void start()}>
      {w.verifyNow}
    </button>
  ) : null
  return (
    <Section title={w.verify} aside={button}>
      <p class="lead">{w.verifyLead}</p>
      <Loaded feed={feed}>
        {() =>
          newest.length === 0 ? (
            <p class="quiet">{w.neverVerified}</p>
          ) : (
            newest.map((one) => (
              <Newest key={one.scope} of={one} onCancel={() => void cancel(one.verification_id)} />
            ))
          )
        }
      </Loaded>
    </Section>
  )
}

function Newest({ of: known, onCancel }: { of: Verification; onCancel: () => void }) {
  const w = words.value
  const { state, progress, violations, rules, ended_at: ended } = known
  if (state === 'running') {
    return (
      <div class="run" role="status">
        <progress
          max={Math.max(1, progress?.total ?? 1)}
          value={progress?.done ?? 0}
          aria-label={w.verify}
        />
        <p>
          {progress === null
            ? w.working
            : `${progress.part}: ${w.checkedOf(count(progress.done), count(progress.total))}`}
        </p>
        {may('operate') ? (
          <button type="button" onClick={onCancel}>
            {w.cancel}
          </button>
        ) : null}
      </div>
    )
  }
  const bad = state === 'failed' || (violations ?? 0) > 0
  return (
    <>
      <LeftOutOf of={known} />
      <p class="concern">
        <State
          state={bad ? 'failed' : 'success'}
          text={known.error ?? w.verifiedBy(rules ?? 0, violations ?? 0)}
        />
        <span class="quiet">
          {words.value.verifyScopes[known.scope]}
          {ended === null ? null : <When at={ended} form="age" />}
        </span>
      </p>
      <details class="values" open={bad}>
        <summary>{w.byRule}</summary>
        <Rules id={known.verification_id} />
      </details>
    </>
  )
}

interface RuleResult {
  readonly rule: string
  readonly severity: string
  readonly holds: string
  readonly checked: number
  readonly violations: number
  readonly examples: readonly string[]
}

function Rules({ id }: { id: number }) {
  const w = words.value
  const feed = useFeed<{ results: readonly RuleResult[] }>(`/ledger/verifications/${id}`)
  return (
    <Loaded feed={feed}>
      {({ results }) => (
        <Table
          label={w.byRule}
          columns={[[w.rule], [w.checked, 'number'], [w.violations, 'number']]}
        >
          {results
            .toSorted((one, other) => other.violations - one.violations)
            .map((result) => (
              <tr key={result.rule}>
                <th scope="row" class="rule">
                  <span lang="en">{result.holds}</span> <code class="quiet">{result.rule}</code>
                  {result.examples.map((example) => (
                    <div key={example} class="problem">
                      {example}
                    </div>
                  ))}
                </th>
                <td class="number">{count(result.checked)}</td>
                <td class="number">
                  {result.violations === 0 ? (
                    '0'
                  ) : (
                    <State state="failed" text={count(result.violations)} />
                  )}
                </td>
              </tr>
            ))}
        </Table>
      )}
    </Loaded>
  )
}
