import { signal } from '@preact/signals'
import { hrefOf, isOwn, readRoute, type Route } from '../exact/route.ts'

function here(): Route {
  return readRoute(location.pathname, location.search)
}

/** Where the viewer is. */
export const route = signal(here())

/** Go to an address of the console; `replace` leaves no step back. */
export function go(href: string, replace = false): void {
  if (href === location.pathname + location.search) return
  const moved = new URL(href, location.href).pathname !== location.pathname
  history[replace ? 'replaceState' : 'pushState'](null, '', href)
  route.value = here()
  if (moved) arrive()
}

/** Change the filters of the screen that is open; going back leaves it. */
export function filter(change: Readonly<Record<string, string>>): void {
  go(changed(change), true)
}

/** Turn to another page of the list that is open; going back turns to this one again. */
export function turn(change: Readonly<Record<string, string>>): void {
  go(changed(change))
}

function changed(change: Readonly<Record<string, string>>): string {
  const { screen, id, query } = route.peek()
  const lost = location.pathname + location.search
  return screen === 'lost' ? lost : hrefOf(screen, id, { ...query, ...change })
}

/** The reader of a screen reader, and the keyboard, begin at the new page. */
function arrive(): void {
  scrollTo(0, 0)
  document.querySelector<HTMLElement>('main')?.focus({ preventScroll: true })
}

/** Answers from now on whether the same thing is still shown, however it is filtered. */
export function stillHere(): () => boolean {
  const { screen, id } = route.peek()
  return () => route.peek().screen === screen && route.peek().id === id
}

/** Links are plain links; those of the console are followed without loading it again. */
export function followLinks(): void {
  addEventListener('popstate', () => (route.value = here()))
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0) return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const link = event.target instanceof Element ? event.target.closest('a') : null
    if (link === null || link.target !== '' || link.hasAttribute('download')) return
    if (link.origin !== location.origin || !isOwn(link.pathname)) return
    // A place on this very page: the browser goes there, and takes the keyboard along.
    if (link.hash !== '' && link.href.split('#')[0] === location.href.split('#')[0]) return
    event.preventDefault()
    go(link.pathname + link.search)
  })
}
