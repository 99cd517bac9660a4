// The texts come first: the bundle is compressed better that way.
import { language, words } from './words/words.ts'
import { effect } from '@preact/signals'
import { render } from 'preact'
import { inDoubt, reachable, signedOut } from './app/api.ts'
import { listenToKeys } from './app/keys.ts'
import { followLinks, route } from './app/router.ts'
import { readSession, session } from './app/session.ts'
import { Shell } from './app/shell.tsx'
import { SignIn } from './app/sign-in.tsx'
import { hrefOf } from './exact/route.ts'
import { ScreenFrame } from './parts/screen.tsx'
import { SearchResults } from './screens/search.tsx'
import { Gateways } from './screens/gateways/gateways.tsx'
import { Ledger } from './screens/ledger.tsx'
import { DeadLetters } from './screens/letters/letters.tsx'
import { Overview } from './screens/overview/overview.tsx'
import { PaymentScreen } from './screens/payment/payment.tsx'
import { Payments } from './screens/payments.tsx'
import { Settings } from './screens/settings.tsx'
import { UserScreen } from './screens/user.tsx'
import { Users } from './screens/users.tsx'
import { EndpointScreen } from './screens/webhooks/endpoint.tsx'
import { Webhooks } from './screens/webhooks/webhooks.tsx'

function Console() {
  document.documentElement.lang = language.value
  if (signedOut.value) return <SignIn />
  return (
    <Shell>
      <CurrentScreen />
    </Shell>
  )
}

function CurrentScreen() {
  const { screen, id, query } = route.value
  switch (screen) {
    case 'overview':
      return <Overview />
    case 'payments':
      if (query['q'] !== undefined) return <SearchResults key={query['q']} q={query['q']} />
      return id === null ? <Payments /> : <PaymentScreen key={id} id={id} />
    case 'dead-letters':
      return <DeadLetters />
    case 'users':
      return id === null ? <Users /> : <UserScreen key={id} id={id} />
    case 'ledger':
      return <Ledger />
    case 'webhooks':
      return id === null ? <Webhooks /> : <EndpointScreen key={id} id={id} />
    case 'gateways':
      return <Gateways />
    case 'settings':
      return <Settings />
    default:
      return (
        <ScreenFrame title={words.value.lost}>
          <p>
            <a href={hrefOf('overview')}>{words.value.screens.overview}</a>
          </p>
        </ScreenFrame>
      )
  }
}

followLinks()
listenToKeys()
effect(() => {
  // At the start, and when the API is back after it was away at the start.
  if (reachable.value && session.peek() === null) void readSession()
})
effect(() => {
  // Strangers whose address sent too many wrong tokens are told that, and not to sign in.
  // If this was too much as well, the next answer that says so asks again.
  if (inDoubt.value) void readSession().finally(() => (inDoubt.value = false))
})
const place = document.querySelector('#console')
if (place !== null) render(<Console />, place)
