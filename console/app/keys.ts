import { signal } from '@preact/signals'
import { latinKey } from '../exact/keys.ts'
import { hrefOf, type Screen } from '../exact/route.ts'
import { go } from './router.ts'

/** The second letter of `g` and a letter, for each screen. */
export const LETTERS: Readonly<Record<Screen, string>> = {
  overview: 'o',
  payments: 'p',
  'dead-letters': 'd',
  users: 'u',
  ledger: 'l',
  webhooks: 'w',
  gateways: 'g',
  settings: 's',
}

/** Whether the list of keys is shown. */
export const keysShown = signal(false)

/** Keys that work anywhere but in a field: `/`, `?`, and `g` with the letter of a screen. */
export function listenToKeys(): void {
  let leading = false
  document.addEventListener('keydown', (event) => {
    const { target } = event
    if (event.metaKey || event.ctrlKey || event.altKey) return
    const key = latinKey(event)
    const inField = target instanceof Element && target.closest('input, select, textarea')
    // What is behind a dialog waits for it, wherever the focus is.
    if (inField || document.querySelector('dialog[open]') !== null) return
    if (leading) {
      leading = false
      const screen = Object.entries(LETTERS).find(([, letter]) => letter === key)?.[0]
      // The letters are of screens alone.
      if (screen !== undefined) go(hrefOf(screen as Screen))
      return
    }
    if (key === 'g') leading = true
    else if (key === '?') keysShown.value = true
    else if (key === '/') {
      event.preventDefault()
      document.querySelector<HTMLInputElement>('#search')?.focus()
    }
  })
}
