import { effect, signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { newKey, signedOut } from '../app/api.ts'
import { refreshAll } from '../app/feed.ts'
import { route } from '../app/router.ts'
import type { Problem } from '../app/shapes.ts'
import { refusedHere, type Answer } from '../exact/answer.ts'
import { refusal, words } from '../words/words.ts'

/** What is typed into a dialog, by field. */
type Typed = Readonly<Record<string, string>>

/** A question of a dialog. */
export interface Field {
  readonly name: string
  readonly label: string
  readonly hint?: string
  readonly optional?: boolean
  readonly initial?: string
  /** Offered answers; without them the field is a line of text. */
  readonly choices?: readonly (readonly [value: string, label: string])[]
  /** A box to tick, which says `yes`, or a time in the viewer's zone. */
  readonly kind?: 'box' | 'time'
  /** Asked only after the API has refused the act with this code. */
  readonly after?: string
}

/** Something an operator can do: what happens then, what is asked, and how it is done. */
interface Act {
  readonly title: string
  readonly says: ComponentChildren
  readonly fields: readonly Field[]
  readonly verb: string
  readonly danger?: boolean
  /** It carries no key, so that a second try may do it twice. */
  readonly unkeyed?: boolean
  /** It only says something, which going back does not take away: it may be told once alone. */
  readonly stays?: boolean
  /** `key` is one for the whole dialog, so that a second try is the same request. */
  run(typed: Typed, key: string): Promise<Answer<unknown>>
  done?: (data: unknown) => void
}

const asked = signal<Act | null>(null)
/** What is asked and told once the dialog that is open has been closed. */
let waiting: readonly Act[] = []

/** The title of the act that is under way, and of one that was when the session ended. */
let underWay: string | null = null
let lost: string | null = null
// Whoever signs in next is asked and shown nothing that was meant for who was there before, but
// told what nobody knows.
effect(() => {
  if (signedOut.value) {
    lost ??= underWay
    waiting = []
    asked.value = null
  } else if (lost !== null) {
    tell(lost, words.peek().actLost)
    lost = null
  }
})

// What was to be asked on another screen is not asked any more.
route.subscribe(() => (waiting = waiting.filter(({ stays }) => stays)))

/** Ask whether an act is meant: after what is being asked or told, if anything is. */
export function ask(act: Act): void {
  if (asked.peek() === null) asked.value = act
  else waiting = [...waiting, act]
}

/** The dialog has been closed: the next one, if any waits. */
function next(): void {
  const [first = null, ...others] = waiting
  waiting = others
  asked.value = first
}

/** Say something that there is nothing to decide about. */
export function tell(title: string, says: string): void {
  const ok: Answer<unknown> = { kind: 'ok', data: null, etag: null }
  const { close: verb } = words.peek()
  ask({ title, says, fields: [], verb, stays: true, run: () => Promise.resolve(ok) })
}

/**
 * Do something that needs no question, tell why it was not done, if it was not, and read again what
 * is shown. Answers whether it was done.
 */
export async function perform(title: string, doing: Promise<Answer<unknown>>): Promise<boolean> {
  const answer = await doing
  if (answer.kind === 'refused') tell(title, refusal(answer.problem))
  if (answer.kind === 'away') tell(title, words.value.actLost)
  await refreshAll()
  return answer.kind === 'ok'
}

/** What an act came to. One that fails here, before anybody is asked, says why. */
async function answerOf(run: () => Promise<Answer<unknown>>): Promise<Answer<unknown>> {
  try {
    return await run()
  } catch (error) {
    return refusedHere((error as Error).message)
  }
}

/** The one dialog in which acts are confirmed. */
export function ActDialog() {
  const act = asked.value
  return act === null ? null : <Asking key={act} act={act} />
}

/**
 * The dialog of an act, closed with the screen that it was asked on. While the act is being done it
 * stays, or nobody would be told how it ended; browsers close it all the same when asked twice.
 */
function useOpened(act: Act) {
  const box = useRef<HTMLDialogElement>(null)
  const working = useRef(false)
  useEffect(() => {
    box.current?.showModal()
    const opened = route.peek()
    return route.subscribe((now) => {
      if (now !== opened && act.stays !== true && !working.current) box.current?.close()
    })
  }, [])
  function onCancel(event: Event): void {
    if (working.current) event.preventDefault()
  }
  /** The browser says so later: by then what was done may have asked or told something else. */
  function onClose(): void {
    if (working.current) box.current?.showModal()
    else if (asked.peek() === act) next()
  }
  return { box, working, onCancel, onClose }
}

function Asking({ act }: { act: Act }) {
  const { box, working, onCancel, onClose } = useOpened(act)
  const [key] = useState(newKey)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem | 'away' | null>(null)
  const [refused, setRefused] = useState<readonly string[]>([])
  const w = words.value
  const away = act.unkeyed === true ? w.actLost : w.actAway
  const close = () => box.current?.close()

  function work(on: boolean): void {
    working.current = on
    underWay = on ? act.title : null
    setBusy(on)
  }

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault()
    const form = new FormData(event.target as HTMLFormElement)
    const typed = Object.fromEntries([...form].map(([name, value]) => [name, String(value).trim()]))
    work(true)
    setProblem(null)
    const answer = await answerOf(() => act.run(typed, key)).finally(() => work(false))
    // By its own end of the session nothing was done.
    if (answer.kind === 'refused' && answer.problem.status === 401) lost = null
    // The session has ended meanwhile: what is said now is for somebody else.
    if (asked.peek() !== act) return
    if (answer.kind === 'refused') {
      setRefused([...refused, answer.problem.code])
      return setProblem(answer.problem)
    }
    if (answer.kind !== 'ok') return setProblem('away')
    close()
    act.done?.(answer.data)
    next()
    await refreshAll()
  }

  return (
    <dialog ref={box} class="act" aria-labelledby="act-title" onCancel={onCancel} onClose={onClose}>
      <form method="dialog" onSubmit={(event) => void submit(event)}>
        <h2 id="act-title">{act.title}</h2>
        <div class="says">{act.says}</div>
        {act.fields
          .filter(({ after }) => after === undefined || refused.includes(after))
          .map((field) => (
            <FieldRow key={field.name} field={field} />
          ))}
        <p class="problem" role="alert">
          {problem === null ? '' : problem === 'away' ? away : refusal(problem)}
        </p>
        <footer>
          {act.stays === true ? null : (
            <button type="button" disabled={busy} onClick={close}>
              {w.back}
            </button>
          )}
          <button type="submit" class={act.danger ? 'danger' : 'primary'} disabled={busy}>
            {busy ? w.working : act.verb}
          </button>
        </footer>
      </form>
    </dialog>
  )
}

function FieldRow({ field }: { field: Field }) {
  const { name, label, hint, kind } = field
  const id = `act-${name}`
  if (kind === 'box') {
    return (
      <label class="field box">
        <input id={id} name={name} type="checkbox" value="yes" />
        {label}
      </label>
    )
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <Control id={id} field={field} />
      {hint === undefined ? null : (
        <small id={`${id}-hint`} class="quiet">
          {hint}
        </small>
      )}
    </div>
  )
}

function Control({ id, field }: { id: string; field: Field }) {
  const { name, hint, optional = false, initial = '', choices, kind } = field
  const common = {
    id,
    name,
    defaultValue: initial,
    'aria-describedby': hint === undefined ? undefined : `${id}-hint`,
  }
  if (choices !== undefined) {
    return (
      <select {...common}>
        {choices.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    )
  }
  return kind === 'time' ? (
    <input {...common} type="datetime-local" max="9999-12-31T23:59" required={!optional} />
  ) : (
    <input {...common} required={!optional} autocomplete="off" />
  )
}
