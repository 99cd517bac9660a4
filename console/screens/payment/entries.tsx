import type { TimelineEvent } from '../../app/shapes.ts'
import { accountsOf, type Leg, type TAccount } from '../../exact/accounts.ts'
import { named, Section } from '../../parts/basics.tsx'
import { money, moved, words } from '../../words/words.ts'

/** What the payment moved in the books, by account. */
export function Entries(props: { events: readonly TimelineEvent[]; currency: string }) {
  const w = words.value
  const accounts = accountsOf(props.events, props.currency)
  return (
    <Section title={w.entries} aside={<span class="quiet">{props.currency}</span>}>
      {accounts.length === 0 ? (
        <p class="quiet">{w.noEntries}</p>
      ) : (
        <div class="t-accounts">
          {accounts.map((account) => (
            <T key={account.account} account={account} currency={props.currency} />
          ))}
        </div>
      )}
    </Section>
  )
}

function T({ account, currency }: { account: TAccount; currency: string }) {
  const w = words.value
  const rows = Math.max(account.left.length, account.right.length)
  return (
    <table class="t-account">
      <caption>{w.accounts[account.account]}</caption>
      <thead class="unseen">
        <tr>
          <th scope="col">{w.out}</th>
          <th scope="col">{w.in}</th>
        </tr>
      </thead>
      <tbody>
        {Array.from({ length: rows }, (_, at) => (
          <tr key={at}>
            <Side leg={account.left[at]} currency={currency} />
            <Side leg={account.right[at]} currency={currency} />
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <td colSpan={2}>{moved(account.sum, currency)}</td>
        </tr>
      </tfoot>
    </table>
  )
}

function Side({ leg, currency }: { leg: Leg | undefined; currency: string }) {
  if (leg === undefined) return <td />
  return (
    <td>
      <span class="quiet">{named(words.value.happened, leg.entry)}</span>{' '}
      <span class="money">{money(leg.amount, currency)}</span>
    </td>
  )
}
