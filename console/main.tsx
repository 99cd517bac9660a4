import { render } from 'preact'
import { signedOut } from './app/api.ts'
import { listenToKeys } from './app/keys.ts'
import { followLinks, route } from './app/router.ts'
import { readSession } from './app/session.ts'
import { Shell } from './app/shell.tsx'
import { SignIn } from './app/sign-in.tsx'
import { Empty } from './parts/basics.tsx'
import { PaymentScreen } from './screens/payment/payment.tsx'
import { Payments } from './screens/payments.tsx'
import { language, words } from './words/words.ts'

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
  const { screen, id } = route.value
  switch (screen) {
    case 'payments':
      return id === null ? <Payments /> : <PaymentScreen key={id} id={id} />
    default:
      return <Empty title={words.value.lost} />
  }
}

followLinks()
listenToKeys()
void readSession()
const place = document.querySelector('#console')
if (place !== null) render(<Console />, place)
