import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { isOld } from '../exact/poll.ts'
import { hrefOf, SCREENS } from '../exact/route.ts'
import { guess } from '../exact/search.ts'
import { ActDialog } from '../parts/dialog.tsx'
import { language, moment, refusal, span, speak, words } from '../words/words.ts'
import { reachable } from './api.ts'
import { ailments, heardAt, now, paused } from './feed.ts'
import { keysShown, LETTERS } from './keys.ts'
import { go, route } from './router.ts'
import { session, signOut, useSession } from './session.ts'

/** What is around every screen: where one can go, what is searched, and how fresh it all is. */
export function Shell({ children }: { children: ComponentChildren }) {
  const w = words.value
  useSession()
  return (
    <>
      <a class="skip" href="#main">
        {w.skip}
      </a>
      <header class="top">
        <a class="mark" href={hrefOf('overview')}>
          <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
            <path d="M2 5h16M10 5v12" />
            <path class="dots" d="M5.5 9v0M5.5 13v0M14.5 9v0M14.5 13v0" />
          </svg>
          Payments
        </a>
        <Search />
        <button class="menu" type="button" popovertarget="nav" aria-label={w.menu}>
          <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
            <path d="M3 6h14M3 10h14M3 14h14" />
          </svg>
        </button>
      </header>
      <Nav id="side" class="side" />
      <Nav id="nav" class="drawer" />
      <main id="main" tabIndex={-1}>
        <Banner />
        {children}
      </main>
      <ActDialog />
      <KeysDialog />
    </>
  )
}

function Nav({ id, class: name }: { id: string; class: string }) {
  const w = words.value
  const { screen } = route.value
  const box = useRef<HTMLElement>(null)
  const drawer = name === 'drawer'
  useEffect(() => {
    if (drawer && box.current?.matches(':popover-open')) box.current.hidePopover()
  }, [screen])
  return (
    <nav
      id={id}
      ref={box}
      class={name}
      popover={drawer ? 'auto' : undefined}
      aria-label={drawer ? w.menu : w.navigation}
    >
      <div class="links">
        {SCREENS.map((one) => (
          <a key={one} href={hrefOf(one)} aria-current={one === screen ? 'page' : undefined}>
            {w.screens[one]}
            <kbd aria-hidden="true">g {LETTERS[one]}</kbd>
          </a>
        ))}
      </div>
      <div class="foot">
        <Freshness />
        <div class="row">
          <button
            type="button"
            class="plain"
            onClick={() => speak(language.value === 'en' ? 'ru' : 'en')}
          >
            <span lang={language.value === 'en' ? 'ru' : 'en'}>{w.otherLanguage}</span>
          </button>
          <button type="button" class="plain" onClick={() => (keysShown.value = true)}>
            {w.keys} <kbd aria-hidden="true">?</kbd>
          </button>
        </div>
        {session.value?.authenticated === true && session.value.keys_required ? (
          <button type="button" class="plain" onClick={() => void signOut()}>
            {w.signOut}
          </button>
        ) : null}
      </div>
    </nav>
  )
}

/** Whether what is shown follows the service, and the button that stops it. */
function Freshness() {
  const w = words.value
  const age = heardAt.value === null ? null : now.value - heardAt.value
  const old = isOld(heardAt.value, now.value)
  const live = reachable.value && !old
  const state = paused.value ? w.paused : live ? w.live : w.away
  const kind = paused.value ? 'paused' : live ? 'live' : 'lost'
  return (
    <div class={`fresh-state ${kind}`}>
      <span class="dot" aria-hidden="true" />
      <span>
        {state}
        {old && age !== null ? <span class="quiet"> · {w.ago(span(age))}</span> : null}
      </span>
      <button type="button" class="plain" onClick={() => (paused.value = !paused.value)}>
        {paused.value ? w.resume : w.pause}
      </button>
    </div>
  )
}

/** Says when the API is away or what is shown is old. */
function Banner() {
  const w = words.value
  const at = heardAt.value
  const shown = at === null ? w.neverHeard : w.shownAsOf(moment(at, now.value))
  const [ailment] = ailments.value.values()
  const text = !reachable.value
    ? `${w.apiAway} ${shown}`
    : ailment !== undefined
      ? `${w.apiAils(refusal(ailment))} ${shown}`
      : isOld(at, now.value)
        ? `${paused.value ? w.pausedOld : w.silent} ${shown}`
        : ''
  return (
    <p class={text === '' ? 'banner none' : 'banner'} role="status">
      {text}
    </p>
  )
}

function Search() {
  const w = words.value
  function find(event: SubmitEvent): void {
    event.preventDefault()
    const form = event.target as HTMLFormElement
    const found = guess(String(new FormData(form).get('q') ?? ''))
    if (found === null) return
    if (found.kind === 'payment') go(hrefOf('payments', found.id, { typed: found.typed }))
    else go(hrefOf('payments', null, found.query))
    form.reset()
  }
  return (
    <form class="search" role="search" onSubmit={find}>
      <svg viewBox="0 0 20 20" width="16" height="16" aria-hidden="true">
        <path d="M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13 13l4 4" />
      </svg>
      <input
        id="search"
        name="q"
        type="search"
        autocomplete="off"
        placeholder={w.searchHint}
        aria-label={w.search}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  )
}

function KeysDialog() {
  const w = words.value
  const box = useRef<HTMLDialogElement>(null)
  const shown = keysShown.value
  useEffect(() => {
    if (!shown) return
    box.current?.showModal()
    const leave = () => box.current?.close()
    addEventListener('popstate', leave)
    return () => removeEventListener('popstate', leave)
  }, [shown])
  const keys: [string, string][] = [
    ['/', w.search],
    ...SCREENS.map((screen): [string, string] => [`g ${LETTERS[screen]}`, w.screens[screen]]),
    ['?', w.keys],
  ]
  return (
    <dialog
      ref={box}
      class="keys"
      aria-labelledby="keys-title"
      onClose={() => (keysShown.value = false)}
    >
      <form method="dialog">
        <h2 id="keys-title">{w.keys}</h2>
        <dl>
          {keys.map(([key, what]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <footer>
          <button type="submit">{w.close}</button>
        </footer>
      </form>
    </dialog>
  )
}
