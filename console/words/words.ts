import { computed, signal } from '@preact/signals'
import { kept } from '../app/kept.ts'
import { durationOf } from '../exact/duration.ts'
import type { Exact } from '../exact/json.ts'
import { exponentOf, formatAmount, formatMoved, MINUS, readAmount } from '../exact/money.ts'
import { formatCount, formatRate } from '../exact/count.ts'
import { momentsOf } from '../exact/moment.ts'
import { problemText } from '../exact/problem.ts'
import { EN, type Words } from './en.ts'
import { RU } from './ru.ts'

type Language = 'en' | 'ru'

const DICTIONARIES: Readonly<Record<Language, Words>> = { en: EN, ru: RU }
const KEPT_AS = 'console-language'

function first(): Language {
  const wanted = kept.read(KEPT_AS) ?? navigator.language
  return wanted.startsWith('ru') ? 'ru' : 'en'
}

export const language = signal<Language>(first())

/** The words of the viewer's language. */
export const words = computed(() => DICTIONARIES[language.value])

export function speak(wanted: Language): void {
  kept.write(KEPT_AS, wanted)
  language.value = wanted
}

/** An amount as the viewer's language writes it. */
export function money(amount: Exact, currency: string): string {
  return formatAmount(amount, currency, words.value.marks)
}

/** How much an amount moved, with its sign. */
export function moved(amount: Exact, currency: string): string {
  return formatMoved(amount, currency, words.value.marks)
}

/** About how much so many minor units are, as short as there is room at the line of a chart. */
export function roughly(minor: number, currency: string): string {
  return formats.value.short.format(minor / 10 ** exponentOf(currency)).replace('-', MINUS)
}

/** What the viewer typed as an amount of a currency, as the API takes it; null: it is none. */
export function typedAmount(typed: string, currency: string): string | null {
  return readAmount(typed, currency, words.value.marks)
}

/** Why something was refused: sentences of the API, and in the viewer's language what is wrong. */
export function refusal(problem: Parameters<typeof problemText>[0]): string {
  return problemText(problem, words.value.fieldFaults)
}

/** How often a second: two digits where it is little. */
export function rate(value: number): string {
  return formatRate(value, words.value.marks)
}

/** A duration with its unit. */
export function span(ms: number): string {
  const { value, unit } = durationOf(ms)
  const { units, marks } = words.value
  return `${value.replace('.', marks.decimal)}\u00a0${units[unit]}`
}

const formats = computed(() => {
  const tag = language.value === 'ru' ? 'ru-RU' : 'en-GB'
  return {
    moments: momentsOf(tag),
    short: new Intl.NumberFormat(tag, { notation: 'compact', maximumSignificantDigits: 3 }),
    month: new Intl.DateTimeFormat(tag, { month: 'long', year: 'numeric', timeZone: 'UTC' }),
  }
})

/** A moment in the viewer's zone: the time alone where it is today, the year where it is far. */
export function moment(at: number, now: number): string {
  return formats.value.moments.moment(at, now)
}

/** The viewer's zone, by name. */
export function zone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone
}

/** The same to the millisecond. */
export function momentExact(at: number, now: number): string {
  return formats.value.moments.exact(at, now)
}

/** A count with marks between thousands. */
export function count(value: number): string {
  return formatCount(value, words.value.marks)
}

/** A share as percents: one decimal where it matters. */
export function percent(share: number): string {
  const value = share * 100
  const text =
    value > 0 && value < 10
      ? value.toFixed(1)
      : value > 99 && value < 100
        ? cut(value)
        : value.toFixed(0)
  return `${text.replace('.', words.value.marks.decimal)}\u00a0%`
}

/** Rounded down: 99.96 % is not 100 %. */
function cut(value: number): string {
  return (Math.floor(value * 10) / 10).toFixed(1)
}

/** The month of a moment, by name. Statements have their months in UTC, wherever one reads them. */
export function monthOf(at: number): string {
  return formats.value.month.format(at)
}
