import { exponentOf } from '../../src/domain/currency.ts'
import { isDefinite, send, untilAnswered, type Answer, type Entry } from './load.ts'
import type { Stage } from './scenario.ts'
import { gatewaysOf } from './stack.ts'

/** A user, and the decimals of its currency. */
export interface Account {
  readonly id: number
  readonly currency: string
  readonly exponent: number
}

/** What came back at the gateway. */
interface CameBack {
  readonly payment_id: number
  readonly gateway_ref: string
  readonly kind: string
  readonly amount: number
}

/** What the acts of a run share. */
export interface Mix {
  readonly stage: Stage
  readonly accounts: readonly Account[]
  /** Payments that were accepted, and can be given back or come back by now or soon. */
  readonly accepted: { readonly id: number; readonly entry: Entry }[]
  /** Answers that no act of its kind may get. */
  readonly strange: string[]
}

type Act = (mix: Mix) => Promise<unknown>

/** What is done, and how often in a hundred. */
const ACTS: readonly (readonly [share: number, act: Act])[] = [
  [32, (mix) => pay(mix, 'deposit')],
  [20, (mix) => pay(mix, 'withdraw')],
  [20, refund],
  [12, comeBack],
  [8, cancel],
  [8, operate],
]

/** Do one of the acts, drawn by chance. */
export async function actOnce(mix: Mix): Promise<void> {
  let left = mix.stage.random() * 100
  for (const [share, act] of ACTS) {
    if (left < share) return void (await act(mix))
    left -= share
  }
}

/** In minor units; more than any commission. */
const AMOUNT_MIN = 50
const AMOUNT_MAX = 5_000
/** An act is asked for again so often, until it is answered; a restart of everything is shorter. */
const TRIES_MAX = 300
const AGAIN_MS = 100

/** Ask for a payment under a key, and return its id; null: it was refused. */
export async function pay(mix: Mix, type: 'deposit' | 'withdraw'): Promise<number | null> {
  const { stage, accounts } = mix
  const account = pick(accounts, stage.random)
  if (account === null) return null
  const amount = AMOUNT_MIN + Math.floor(stage.random() * (AMOUNT_MAX - AMOUNT_MIN))
  const { id: userId, currency, exponent } = account
  const id = await enter(mix, { type, userId, exponent, amount })
  if (id !== null) stage.add(`payments in ${currency}`, 1)
  return id
}

async function enter(mix: Mix, order: Omit<Entry, 'key' | 'answers'>): Promise<number | null> {
  const { stage, accepted } = mix
  const entry: Entry = { ...order, key: `mixed-${stage.asked.length}`, answers: [] }
  stage.asked.push(entry)
  await untilAnswered(apisOf(stage), entry)
  const yes = entry.answers.find(({ status }) => status === 202)
  if (yes === undefined) return null
  const id = Number(fieldsOf(yes)['payment_id'])
  stage.add(`${entry.type}s accepted`, 1)
  if (entry.type !== 'refund') accepted.push({ id, entry })
  return id
}

/** Ask for a part of a deposit back, or for more of it than may be left. */
async function refund(mix: Mix): Promise<void> {
  const { random } = mix.stage
  const deposit = pick(mix.accepted.filter(isOf('deposit')), random)
  if (deposit === null) return
  const { userId, exponent = 2, amount: whole } = deposit.entry
  const amount = Math.max(1, Math.ceil(whole * (random() < 0.2 ? 1 : random())))
  await enter(mix, { type: 'refund', userId, exponent, amount, parentId: deposit.id })
}

function isOf(type: Entry['type']) {
  return ({ entry }: Mix['accepted'][number]) => entry.type === type
}

/** A payment comes back at the gateway, and we are told so twice at the same time. */
async function comeBack(mix: Mix): Promise<void> {
  const { stage } = mix
  const { random } = stage
  const payment = pick(mix.accepted, random)
  if (payment === null) return
  const { exponent = 2, type, amount: whole } = payment.entry
  const deposit = ['charged_back', 'refunded_there', 'dispute_won'][Math.floor(random() * 3)]
  const kind = type === 'deposit' ? deposit : 'payout_returned'
  const amount = Math.max(1, Math.ceil(whole * random() * 0.6)) / 10 ** exponent
  const url = `${await gatewayOf(stage, payment.id)}/returns`
  // Asked for once: without a key, an answer that was lost may have happened.
  const told = await send(url, { payment_id: payment.id, kind, amount }, null)
  if (told.status === 409 || !isDefinite(told)) return
  if (told.status !== 200) return void mix.strange.push(`return there: ${said(told)}`)
  const back = fieldsOf(told) as unknown as CameBack
  await Promise.all([bookReturn(mix, back), bookReturn(mix, back)])
}

/** Tell us what came back, until we have booked it or say that it cannot be booked now. */
async function bookReturn(mix: Mix, back: CameBack): Promise<boolean> {
  const { payment_id: id, kind, amount, gateway_ref } = back
  const body = { kind, amount, gateway_ref, reason: 'on the statement' }
  const answer = await persist(mix.stage, `payments/${id}/returns`, body)
  if (answer.status === 201) mix.stage.add('returns booked', 1)
  if (answer.status === 201 || answer.status === 200) return true
  // It may not be final here yet, and is booked at the end.
  if (answer.status !== 409) mix.strange.push(`return: ${said(answer)}`)
  return false
}

/** Book all that came back at the gateway and is not booked; returns what cannot be. */
export async function bookAll(mix: Mix): Promise<string[]> {
  const all = gatewaysOf(mix.stage.stack).map(({ url }) => bookAllOf(mix, url))
  return (await Promise.all(all)).flat()
}

async function bookAllOf(mix: Mix, gateway: string): Promise<string[]> {
  const left: string[] = []
  for (let after: number | null = 0; after !== null;) {
    const url = `${gateway}/returns?after=${after}&limit=500`
    const answer = await send(url, null, null)
    const page = JSON.parse(answer.text) as { data: CameBack[]; next_after: number | null }
    for (const back of page.data) {
      if (!(await bookReturn(mix, back))) left.push(`${back.gateway_ref} of ${back.payment_id}`)
    }
    after = page.next_after
  }
  return left
}

/** Where the gateway of a payment is, past the proxies. */
async function gatewayOf({ stack, wait }: Stage, id: number): Promise<string> {
  if (stack.bank === null) return stack.gatewayUrl
  const text = `select gateway from payments where id = ${id}`
  for (let tries = 0; ; tries += 1) {
    try {
      const [row] = await stack.query<{ gateway: string | null }>(text)
      return row?.gateway === 'bank' ? stack.bank.url : stack.gatewayUrl
    } catch (error) {
      // PostgreSQL is killed meanwhile, and comes back.
      if (tries === TRIES_MAX) throw error
      await wait(AGAIN_MS)
    }
  }
}

/** Ask for a withdrawal, and at once for its end. */
export async function cancel(mix: Mix): Promise<void> {
  const id = await pay(mix, 'withdraw')
  if (id === null) return
  const answer = await persist(mix.stage, `payments/${id}/cancel`, { reason: 'changed my mind' })
  if (answer.status === 200) mix.stage.add('payments canceled', 1)
  else if (answer.status !== 409) mix.strange.push(`cancel: ${said(answer)}`)
}

interface Letter {
  readonly id: number
  readonly state: string
  readonly error: string
}

/** Redrive or correct a letter, whatever it is about. */
async function operate(mix: Mix): Promise<void> {
  const letter = pick((await openLetters(mix)) ?? [], mix.stage.random)
  if (letter !== null) await workOn(mix, letter)
}

/** The newest open letters; null: the answer was strange. */
export async function openLetters(mix: Mix): Promise<Letter[] | null> {
  const answer = await persist(mix.stage, 'dlq?limit=100', null)
  if (answer.status === 200) {
    return (JSON.parse(answer.text) as Letter[]).filter(({ state }) => state === 'open')
  }
  mix.strange.push(`letters: ${said(answer)}`)
  return null
}

/** What its error takes: a correction, or another try. */
export async function workOn(mix: Mix, { id, error }: Letter): Promise<void> {
  const act = error === 'charged_after_failed' ? 'correct' : 'redrive'
  const answer = await persist(mix.stage, `dlq/${id}/${act}`, { reason: 'looked at' })
  if (answer.status === 202) mix.stage.add('letters redriven', 1)
  else if (![200, 402, 409].includes(answer.status)) mix.strange.push(`${act}: ${said(answer)}`)
}

/** Ask until there is a definite answer, each time at the next process. */
export async function persist(stage: Stage, path: string, body: object | null): Promise<Answer> {
  const apis = apisOf(stage)
  for (let tries = 0; ; tries += 1) {
    const answer = await send(`${apis[tries % apis.length]}/api/v1/${path}`, body, null)
    if (isDefinite(answer) || tries === TRIES_MAX) return answer
    await stage.wait(AGAIN_MS)
  }
}

export function apisOf({ stack }: Stage): string[] {
  return stack.apis.map(({ url }) => url)
}

/** The decimals of a currency. */
export function decimals(currency: string): number {
  return exponentOf(currency) ?? 2
}

function fieldsOf({ text }: Answer): Readonly<Record<string, unknown>> {
  return JSON.parse(text) as Readonly<Record<string, unknown>>
}

function said({ status, text }: Answer): string {
  return `${status} ${text.slice(0, 200)}`
}

function pick<Item>(items: readonly Item[], random: () => number): Item | null {
  return items[Math.floor(random() * items.length)] ?? null
}
