import { send } from '../app/api.ts'
import { useFeed } from '../app/feed.ts'
import { may } from '../app/session.ts'
import type { Verification } from '../app/shapes.ts'
import { Scroll, Section, State, When } from '../parts/basics.tsx'
import { perform } from '../parts/dialog.tsx'
import { LeftOutOf, Loaded } from '../parts/screen.tsx'
import { count, words } from '../words/words.ts'

/** Checks of the books: the newest with its result by rule, and a button that starts another. */
export function Verifications() {
  const w = words.value
  const feed = useFeed<{ data: readonly Verification[] }>('/ledger/verifications')
  const newest = feed.known.value.data?.data[0]
  const start = () => perform(w.verify, send('POST', '/ledger/verifications'))
  const cancel = (id: number) =>
    perform(w.verify, send('POST', `/ledger/verifications/${id}/cancel`))
  const button = may('operate') ? (
    <button type="button" disabled={newest?.state === 'running'} onClick={() => void start()}>
      {w.verifyNow}
    </button>
  ) : null
  return (
    <Section title={w.verify} aside={button}>
      <p class="lead">{w.verifyLead}</p>
      <Loaded feed={feed}>
        {() =>
          newest === undefined ? (
            <p class="quiet">{w.neverVerified}</p>
          ) : (
            <Newest of={newest} onCancel={() => void cancel(newest.verification_id)} />
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
        {ended === null ? null : (
          <span class="quiet">
            <When at={ended} form="age" />
          </span>
        )}
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
        <Scroll label={w.byRule}>
          <table class="list rules">
            <thead>
              <tr>
                <th scope="col">{w.rule}</th>
                <th scope="col" class="number">
                  {w.checked}
                </th>
                <th scope="col" class="number">
                  {w.violations}
                </th>
              </tr>
            </thead>
            <tbody>
              {results
                .toSorted((one, other) => other.violations - one.violations)
                .map((result) => (
                  <tr key={result.rule}>
                    <th scope="row" class="wrap">
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
            </tbody>
          </table>
        </Scroll>
      )}
    </Loaded>
  )
}
