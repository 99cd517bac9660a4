import { computed, effect, signal, type Signal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import { isAilment } from '../exact/problem.ts'
import { nextPollMs } from '../exact/poll.ts'
import { get, signedOut } from './api.ts'
import type { Problem } from './shapes.ts'

/** What a path of the API answered last, and how fresh that is. */
interface Known<T> {
  readonly data: T | null
  /** Why there is nothing to show; null: it was answered, or not yet. */
  readonly problem: Problem | null
  /** When the API said so, in milliseconds of the epoch; null: it never has. */
  readonly at: number | null
}

export interface Feed<T> {
  readonly known: Signal<Known<T>>
  /** Ask now, unless it is being asked. */
  refresh(): Promise<void>
}

/** Whether the viewer has stopped the updates. */
export const paused = signal(false)
/** Whether nobody sees the page. */
export const hidden = signal(document.hidden)
document.addEventListener('visibilitychange', () => (hidden.value = document.hidden))

/** Whether somebody has used the page since it last asked: a key, the pointer, the wheel. */
let touched = true
/** The same, told once: whoever asks next says that it was used. */
export function wasTouched(): boolean {
  const before = touched
  touched = false
  return before
}
for (const sign of ['keydown', 'pointerdown', 'wheel', 'touchmove']) {
  document.addEventListener(sign, () => (touched = true), { passive: true })
}

/** Why some of what is shown could not be read again, by path; what was known of it is shown. */
export const ailments = signal<ReadonlyMap<string, Problem>>(new Map())

/** The same with what is told of a path; null: nothing is. */
function told<T>(known: ReadonlyMap<string, T>, path: string, of: T | null) {
  if (of === (known.get(path) ?? null)) return known
  const next = new Map(known)
  if (of === null) next.delete(path)
  else next.set(path, of)
  return next
}

/** Tell what the banner shows of a path. */
function note(path: string, problem: Problem | null, at: number | null): void {
  ailments.value = told(ailments.peek(), path, problem)
  heard.value = told(heard.peek(), path, at)
}

/** When the API last answered each path that is on the page and has been asked. */
const heard = signal<ReadonlyMap<string, number>>(new Map())
/** Since when the oldest of what is on the page is as it is; null: nothing is known yet. */
export const heardAt = computed(() =>
  heard.value.size === 0 ? null : Math.min(...heard.value.values()),
)
/** The time now, every second while the page is seen. */
export const now = signal(Date.now())
setInterval(() => {
  if (!hidden.value) now.value = Date.now()
}, 1_000)

interface Polled extends Feed<unknown> {
  /** Ask anew: what is being asked may say what was before. */
  again: () => Promise<void>
  users: number
  stop: () => void
  start: () => void
}

const feeds = new Map<string, Polled>()
/** Kept after the last user has left, so that going back shows something at once. */
const KEPT_MAX = 40

// Whoever signs in next may not be allowed to read what was known.
effect(() => {
  if (signedOut.value) feeds.clear()
})

function open(path: string): Polled {
  const found = feeds.get(path)
  if (found !== undefined) return found
  const made = makeFeed(path)
  feeds.set(path, made)
  for (const [name, { users }] of feeds) {
    if (feeds.size <= KEPT_MAX) break
    if (users === 0 && name !== path) feeds.delete(name)
  }
  return made
}

function makeFeed(path: string): Polled {
  const known = signal<Known<unknown>>({ data: null, problem: null, at: null })
  let etag: string | null = null
  let failures = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let asking: Promise<void> | null = null
  let end = () => {}

  async function ask(): Promise<void> {
    const answer = await get<unknown>(path, etag, !wasTouched())
    const at = Date.now()
    const before = known.peek()
    const ails = answer.kind === 'refused' && isAilment(answer.problem.status)
    failures = ails || answer.kind === 'away' ? failures + 1 : 0
    if (answer.kind === 'ok') {
      etag = answer.etag
      known.value = { data: answer.data, problem: null, at }
    } else if (answer.kind === 'same') known.value = { ...before, problem: null, at }
    else if (answer.kind === 'refused' && !(ails && before.data !== null)) {
      // What is not there any more is not known as it was, either.
      etag = null
      known.value = { data: null, problem: answer.problem, at: ails ? null : at }
    }
    // Who has left meanwhile is told nothing any more.
    if (polled.users === 0) return
    note(path, ails && before.data !== null ? answer.problem : null, known.peek().at)
  }

  function refresh(): Promise<void> {
    asking ??= ask().finally(() => (asking = null))
    return asking
  }

  function plan(): void {
    clearTimeout(timer)
    if (polled.users === 0) return
    const state = { paused: paused.value, hidden: hidden.value, failures }
    const wait = signedOut.value ? null : nextPollMs(state, Math.random())
    if (wait !== null) timer = setTimeout(() => void refresh().then(plan), wait)
  }

  const polled: Polled = {
    known,
    refresh,
    again: () => (asking ?? Promise.resolve()).then(refresh),
    users: 0,
    start() {
      void refresh()
      end = effect(() => {
        // Whoever comes back sees what is true now, not what was when they left.
        if (!paused.value && !hidden.value && !signedOut.value) void refresh()
        plan()
      })
    },
    stop() {
      end()
      note(path, null, null)
      clearTimeout(timer)
    },
  }
  return polled
}

const NOTHING: Feed<never> = {
  known: signal<Known<never>>({ data: null, problem: null, at: null }),
  refresh: () => Promise.resolve(),
}

/** Follow what a path of the API answers while the component is there; null: nothing. */
export function useFeed<T>(path: string | null): Feed<T> {
  const feed = useMemo(() => (path === null ? null : open(path)), [path])
  useEffect(() => {
    if (feed === null) return
    feed.users += 1
    if (feed.users === 1) feed.start()
    return () => {
      feed.users -= 1
      if (feed.users === 0) feed.stop()
    }
  }, [feed])
  // The path says what it answers with.
  return (feed ?? NOTHING) as Feed<T>
}

/** Ask again for everything that is on the page: after an act. */
export async function refreshAll(): Promise<void> {
  const shown = [...feeds.values()].filter(({ users }) => users > 0)
  await Promise.all(shown.map((feed) => feed.again()))
}
