import { useFeed } from '../app/feed.ts'
import type { Books, TrialBalance } from '../app/shapes.ts'
import { Money, Scroll, Section, State, When } from '../parts/basics.tsx'
import { Loaded, ScreenFrame } from '../parts/screen.tsx'
import { Journal } from './journal.tsx'
import { Verifications } from './verifications.tsx'
import { count, words } from '../words/words.ts'

const ACCOUNTS = ['user', 'user_held', 'gateway', 'fees', 'opening', 'losses'] as const

/** The books: what every account comes to, by currency, and that they sum to zero. */
export function Ledger() {
  const w = words.value
  const feed = useFeed<TrialBalance>('/ledger')
  return (
    <ScreenFrame title={w.screens.ledger} lead={w.ledgerLead}>
      <Loaded feed={feed}>{(balance) => <Trial balance={balance} />}</Loaded>
      <Verifications />
      <Journal />
    </ScreenFrame>
  )
}

function Trial({ balance }: { balance: TrialBalance }) {
  const w = words.value
  const books: readonly Books[] = [balance, ...balance.others]
  return (
    <Section
      title={w.trialBalance}
      aside={
        <span class="quiet">
          {w.asOf} <When at={balance.as_of} form="exact" />
        </span>
      }
    >
      <Scroll label={w.trialBalance}>
        <table class="list">
          <thead>
            <tr>
              <th scope="col">{w.account}</th>
              {books.map(({ currency }) => (
                <th key={currency} scope="col" class="number">
                  {currency}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {ACCOUNTS.map((account) => (
              <tr key={account}>
                <th scope="row">{w.ledgerAccounts[account]}</th>
                {books.map(({ currency, accounts }) => (
                  <td key={currency} class="number">
                    <Money amount={accounts[account]} currency={currency} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">{w.sum}</th>
              {books.map(({ currency, sum }) => (
                <td key={currency} class="number">
                  <Balanced sum={sum} currency={currency} />
                </td>
              ))}
            </tr>
            <tr class="quiet">
              <th scope="row">{w.entries}</th>
              {books.map(({ currency, entries }) => (
                <td key={currency} class="number">
                  {count(entries)}
                </td>
              ))}
            </tr>
          </tfoot>
        </table>
      </Scroll>
    </Section>
  )
}

/** Books that do not sum to zero are broken, and nothing on this page matters more. */
function Balanced({ sum, currency }: { sum: Books['sum']; currency: string }) {
  if (/[1-9]/.test(String(sum))) {
    return (
      <>
        <State state="failed" text="≠ 0" /> <Money amount={sum} currency={currency} />
      </>
    )
  }
  return <State state="success" text="0" />
}
