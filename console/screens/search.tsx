import { useFeed } from '../app/feed.ts'
import type { DeadLetter, Payment, User } from '../app/shapes.ts'
import { hrefOf } from '../exact/route.ts'
import { meaningsOf } from '../exact/search.ts'
import { Empty, Money, named, Section, State } from '../parts/basics.tsx'
import { Loaded, ScreenFrame } from '../parts/screen.tsx'
import { typedAmount, words } from '../words/words.ts'

interface SearchBody {
  readonly payments: readonly { readonly payment: Payment; readonly by: readonly string[] }[]
  readonly users: readonly { readonly user: User; readonly by: readonly string[] }[]
  readonly dead_letters: readonly DeadLetter[]
}

/** Everything that is called as the viewer typed. */
export function SearchResults({ q }: { q: string }) {
  const w = words.value
  const [whole, behindName] = meaningsOf(q)
  // An amount as the viewer's language writes it; with as many decimals as any currency has.
  const amount = typedAmount(q, 'CLF')
  const rest = behindName ?? (amount === q ? null : amount)
  const feed = useFeed<SearchBody>(askedFor(whole))
  const behind = useFeed<SearchBody>(rest === null ? null : askedFor(rest)).known.value.data
  return (
    <ScreenFrame title={w.foundFor(q)}>
      <Loaded feed={feed}>
        {(known) => {
          const all = behind === null ? known : both(known, behind)
          const { payments, users, dead_letters: letters } = all
          if (payments.length + users.length + letters.length === 0) {
            return (
              <Empty title={w.nothingFound}>
                <p>{w.nothingFoundLead}</p>
                <p>{w.searchBound}</p>
              </Empty>
            )
          }
          return (
            <>
              <Results all={all} />
              <p class="quiet">{w.searchBound}</p>
            </>
          )
        }}
      </Loaded>
    </ScreenFrame>
  )
}

function askedFor(q: string): string {
  return `/search?${new URLSearchParams({ q })}`
}

/** What is called by the whole text first, and nothing twice. */
function both(one: SearchBody, other: SearchBody): SearchBody {
  const ids = {
    payments: new Set(one.payments.map(({ payment }) => payment.payment_id)),
    users: new Set(one.users.map(({ user }) => user.id)),
    letters: new Set(one.dead_letters.map(({ id }) => id)),
  }
  const payments = other.payments.filter(({ payment }) => !ids.payments.has(payment.payment_id))
  const users = other.users.filter(({ user }) => !ids.users.has(user.id))
  const letters = other.dead_letters.filter(({ id }) => !ids.letters.has(id))
  return {
    payments: [...one.payments, ...payments],
    users: [...one.users, ...users],
    dead_letters: [...one.dead_letters, ...letters],
  }
}

function Results({ all: { payments, users, dead_letters: letters } }: { all: SearchBody }) {
  const w = words.value
  return (
    <div class="narrow">
      {payments.length === 0 ? null : (
        <Section title={w.screens.payments}>
          <ul class="relatives">
            {payments.map(({ payment, by }) => (
              <li key={payment.payment_id}>
                <a href={hrefOf('payments', payment.payment_id)}>
                  {w.types[payment.type]} {payment.payment_id}
                </a>
                <State state={payment.status} />
                <Money amount={payment.amount} currency={payment.currency} />
                <span class="quiet">{by.map((one) => named(w.filters, one)).join(', ')}</span>
              </li>
            ))}
          </ul>
        </Section>
      )}
      {users.length === 0 ? null : (
        <Section title={w.screens.users}>
          <ul class="relatives">
            {users.map(({ user }) => (
              <li key={user.id}>
                <a href={hrefOf('users', user.id)}>
                  {w.user} {user.id}
                </a>
                <span>{user.external_id}</span>
                <Money amount={user.balance} currency={user.currency} />
              </li>
            ))}
          </ul>
        </Section>
      )}
      {letters.length === 0 ? null : (
        <Section title={w.screens['dead-letters']}>
          <ul class="relatives">
            {letters.map((letter) => (
              <li key={letter.id}>
                <a href={hrefOf('payments', letter.payment_id)}>
                  {w.payment} {letter.payment_id}
                </a>
                <State state={letter.class} />
                <span class="quiet">{named(w.reasons, letter.error)}</span>
              </li>
            ))}
          </ul>
        </Section>
      )}
    </div>
  )
}
