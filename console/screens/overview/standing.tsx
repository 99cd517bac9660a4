import type { AtRisk, State } from '../../app/shapes.ts'
import { hrefOf } from '../../exact/route.ts'
import { Facts, Money, Section, Sign, When } from '../../parts/basics.tsx'
import { Table } from '../../parts/table.tsx'
import { count, words } from '../../words/words.ts'

/** How it stands now: the money nobody is sure of, the queue, the webhooks and the books. */
export function Standing({ state }: { state: State }) {
  const w = words.value
  const { queue, webhooks } = state
  return (
    <div class="charts">
      <Section title={w.atRisk}>
        {state.at_risk.length === 0 ? (
          <p class="quiet">{w.nothingAtRisk}</p>
        ) : (
          <Risk rows={state.at_risk} />
        )}
      </Section>
      <Section title={w.standing}>
        <Facts
          facts={[
            [w.queue, w.queueSaid(count(queue.due), count(queue.leased))],
            [w.dueLater, count(queue.waiting)],
            [
              w.oldest,
              queue.oldest_due_at === null ? '—' : <When at={queue.oldest_due_at} form="age" />,
            ],
            [
              w.screens.webhooks,
              <a href={hrefOf('webhooks')}>
                {w.webhooksSaid(webhooks.endpoints, webhooks.failing)}
              </a>,
            ],
            [w.booksVerified, <Books books={state.books} />],
          ]}
        />
      </Section>
    </div>
  )
}

function Risk({ rows }: { rows: readonly AtRisk[] }) {
  const w = words.value
  return (
    <Table
      label={w.atRisk}
      columns={[
        [w.currency],
        [w.states.unknown, 'number'],
        [w.states.pending, 'number'],
        [w.accounts.held, 'number'],
      ]}
    >
      {rows.map(({ currency, unknown, pending, held }) => (
        <tr key={currency}>
          <th scope="row">{currency}</th>
          {[unknown, pending].map((part, at) => (
            <td key={at} class="number">
              <Money amount={part.amount} currency={currency} />
              {part.oldest_at === null ? null : (
                <div class="quiet">
                  {part.count} · <When at={part.oldest_at} form="age" />
                </div>
              )}
            </td>
          ))}
          <td class="number">
            <Money amount={held} currency={currency} />
          </td>
        </tr>
      ))}
    </Table>
  )
}

function Books({ books: { full, recent } }: { books: State['books'] }) {
  const w = words.value
  // What is wrong is told, whichever check has found it.
  const last = (recent?.violations ?? 0) > 0 ? recent : (full ?? recent)
  if (last === null) return <a href={hrefOf('ledger')}>{w.neverVerified}</a>
  return (
    <a href={hrefOf('ledger')}>
      <Sign tone={last.violations === 0 ? 'good' : 'bad'} />{' '}
      {w.verifiedBy(last.rules, last.violations)}, <When at={last.ended_at} form="age" />
    </a>
  )
}
