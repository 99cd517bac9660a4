import type { ComponentChildren } from 'preact'
import { now } from '../app/feed.ts'
import type { Exact } from '../exact/json.ts'
import { hrefOf } from '../exact/route.ts'
import { entryOf } from '../exact/entry.ts'
import { money, moment, momentExact, moved, span, words } from '../words/words.ts'

/** An amount with its currency; `signed`: how much it moved. */
export function Money(props: { amount: Exact; currency: string; signed?: boolean }) {
  const { amount, currency, signed = false } = props
  const text = signed ? moved(amount, currency) : money(amount, currency)
  return (
    <span class="money">
      {text}
      <span class="currency">{` ${currency}`}</span>
    </span>
  )
}

type Form = 'moment' | 'exact' | 'age'

/** A time in the viewer's zone, and in UTC on hover; `age`: how long ago it was, or will be. */
export function When({ at, form = 'moment' }: { at: string; form?: Form }) {
  const time = Date.parse(at)
  const utc = `${at.replace('T', ' ').replace('Z', '')} UTC`
  return (
    <time dateTime={at} title={utc}>
      {form === 'exact'
        ? momentExact(time, now.value)
        : form === 'age'
          ? ageOf(time)
          : moment(time, now.value)}
    </time>
  )
}

/** The same below what it is of, where the window is too narrow for a column of times. */
export function NarrowWhen({ at, form = 'moment' }: { at: string; form?: Form }) {
  return (
    <div class="narrow-only quiet">
      <When at={at} form={form} />
    </div>
  )
}

function ageOf(time: number): string {
  const ms = now.value - time
  const { ago, ahead, justNow } = words.value
  if (Math.abs(ms) < 1_000) return justNow
  return ms > 0 ? ago(span(ms)) : ahead(span(-ms))
}

const SHAPES: Readonly<Record<string, string>> = {
  good: 'M3 8.5l3.2 3.2L13 5',
  bad: 'M4 4l8 8M12 4l-8 8',
  doubt: 'M5.4 6a2.6 2.6 0 1 1 3.7 2.4c-.7.3-1.1.8-1.1 1.6M8 12.4v.1',
  plain: 'M8 4.2V8l2.4 1.8',
}

export type Tone = 'good' | 'bad' | 'doubt' | 'plain'

/** A sign for a state, told apart by its shape as well as by its colour. */
export function Sign({ tone }: { tone: Tone }) {
  return (
    <svg class={`sign ${tone}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <circle cx="8" cy="8" r="7" />
      <path d={SHAPES[tone] ?? ''} />
    </svg>
  )
}

const TONES: Readonly<Record<string, Tone>> = {
  success: 'good',
  delivered: 'good',
  enabled: 'good',
  closed: 'good',
  ok: 'good',
  done: 'good',
  failed: 'bad',
  disabled: 'bad',
  open: 'bad',
  unavailable: 'bad',
  stalled: 'bad',
  unknown: 'doubt',
  unreached: 'doubt',
  half_open: 'doubt',
  read_only: 'doubt',
  degraded: 'doubt',
  canceled: 'plain',
}

/** A state of a payment, a delivery, an endpoint, by name. */
export function State({ state, tone, text }: { state: string; tone?: Tone; text?: string }) {
  const names: Readonly<Record<string, string>> = words.value.states
  const kind = tone ?? entryOf(TONES, state) ?? 'plain'
  return (
    <span class={`state ${kind}`}>
      <Sign tone={kind} />
      {text ?? entryOf(names, state) ?? state}
    </span>
  )
}

/** A word of the API in the viewer's language; as it is where there is none. */
export function named(names: Readonly<Record<string, string>>, code: string): string {
  return entryOf(names, code) ?? code.replace(/^http_/, 'HTTP ').replaceAll('_', ' ')
}

/** A part of a screen under a heading. */
export function Section(props: {
  title: string
  aside?: ComponentChildren
  class?: string
  children: ComponentChildren
}) {
  return (
    <section class={props.class}>
      <header class="section-head">
        <h2>{props.title}</h2>
        {props.aside}
      </header>
      {props.children}
    </section>
  )
}

/** Names and what stands behind them. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** A wide thing in a narrow window: it can be scrolled, also by keyboard. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  )
}

/** What to do where there is nothing yet. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  )
}

/** The way from what a search was taken for to everything that is called so. */
export function Everywhere({ typed }: { typed: string }) {
  return <a href={hrefOf('payments', null, { q: typed })}>{words.value.searchFor(typed)}</a>
}
