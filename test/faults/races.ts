import {
  ask,
  askEach,
  connections,
  definite,
  isDefinite,
  openUser,
  untilAnswered,
  type Entry,
} from './load.ts'
import type { Scenario, Stage } from './scenario.ts'
import { check } from './witnesses.ts'

const REQUESTS = 1_000
/** Connections to each API process at the same time. */
const SOCKETS = 500
/** 10.00 and 2 % commission, in minor units. */
const AMOUNT = 1_000
const COST = 1_020
const FUNDED = 500

const ONE_KEY: Scenario = {
  name: 'one-key',
  title: '1,000 concurrent requests with one key on two API processes: one payment, one answer',
  lane: 0,
  perSecond: 0,
  needs: { 'concurrent requests with one key': REQUESTS },
  stack: () => ({ apis: 2, workers: 1 }),
  async run(stage) {
    const { stack, asked, expect } = stage
    await stack.ready()
    const userId = await openUser(stack.apis[0]?.url ?? '', 100_000)
    const entry: Entry = { key: 'the-one', type: 'withdraw', userId, amount: AMOUNT, answers: [] }
    asked.push(entry)
    const entries = Array.from({ length: REQUESTS }, () => entry)
    await all(stage, entries, 'concurrent requests with one key')
    const answers = entry.answers.filter(isDefinite)
    const bodies = new Set(answers.map(({ status, text }) => `${status} ${text}`))
    const accepted = answers.filter(({ status }) => status === 202).length
    const bad = bodies.size === 1 && accepted === REQUESTS ? [] : [...bodies].slice(0, 5)
    expect(check('1,000 answers, all 202 with the same body', bad, `${accepted} answers`))
    const [row] = await stack.query<{ count: number }>(
      'select count(*)::int as count from payments',
    )
    const one = row?.count === 1 ? [] : [`${row?.count} payments`]
    expect(check('One payment', one, '1 payment'))
  },
}

const LAST_CENT: Scenario = {
  name: 'last-cent',
  title: '1,000 concurrent withdrawals on two API processes, with funds for exactly 500',
  lane: 1,
  perSecond: 0,
  needs: { 'concurrent withdrawals of one user': REQUESTS },
  stack: () => ({ apis: 2, workers: 1 }),
  async run(stage) {
    const { stack, asked, expect } = stage
    await stack.ready()
    const userId = await openUser(stack.apis[0]?.url ?? '', (COST * FUNDED) / 100)
    const entries = Array.from({ length: REQUESTS }, (_, index): Entry => {
      return { key: `w-${index}`, type: 'withdraw', userId, amount: AMOUNT, answers: [] }
    })
    asked.push(...entries)
    await all(stage, entries, 'concurrent withdrawals of one user')
    const count = (status: number) =>
      entries.filter((entry) => definite(entry)?.status === status).length
    const [yes, no] = [count(202), count(402)]
    const bad = yes === FUNDED && no === REQUESTS - FUNDED ? [] : [`${yes} x 202, ${no} x 402`]
    expect(check('Exactly 500 are accepted and 500 refused', bad, `${yes} x 202, ${no} x 402`))
  },
}

const REFUNDS = 50
/** A deposit of 100.00 has 33 refunds of 3.00, and 1.00 is left. */
const DEPOSIT = 10_000
const REFUND = 300
const LEFT = DEPOSIT % REFUND
const DONE_MS_MAX = 120_000

const FIFTY_REFUNDS: Scenario = {
  name: 'fifty-refunds',
  title:
    '50 concurrent partial refunds of one deposit on two API processes: never more than it was',
  lane: 1,
  perSecond: 0,
  needs: { 'concurrent refunds of one deposit': REFUNDS },
  stack: () => ({ apis: 2, workers: 1 }),
  async run(stage) {
    const { stack, asked, expect, until } = stage
    await stack.ready()
    const apis = stack.apis.map(({ url }) => url)
    const userId = await openUser(apis[0] ?? '', 1_000)
    const order = { type: 'deposit', userId, amount: DEPOSIT, count: 1, everyMs: 0 } as const
    const [deposit] = await askEach(apis, order, asked)
    const text = deposit?.answers.at(-1)?.text ?? '{}'
    const { payment_id: parentId = 0 } = JSON.parse(text) as { payment_id?: number }
    const refunded = async () => {
      const [row] = await stack.query<{ sum: number; open: number }>(
        `select coalesce(sum(amount) filter (where type = 'refund' and status = 'success'), 0)::int
           as sum, count(*) filter (where status in ('new', 'unknown'))::int as open
         from payments`,
      )
      return row
    }
    await until(DONE_MS_MAX, async () => (await refunded())?.open === 0)

    const refundOf = (amount: number, key: string): Entry => {
      return { key, type: 'refund', userId, parentId, amount, answers: [] }
    }
    const entries = Array.from({ length: REFUNDS }, (_, at) => refundOf(REFUND, `r-${at}`))
    asked.push(...entries)
    await all(stage, entries, 'concurrent refunds of one deposit')
    const accepted = entries.filter(({ answers }) => answers.at(-1)?.status === 202).length
    const fits = accepted === Math.floor(DEPOSIT / REFUND) ? [] : [`${accepted} were`]
    expect(check('As many are accepted as fit into the deposit', fits, `${accepted} of 50`))
    const [more, rest] = [refundOf(LEFT + 1, 'more'), refundOf(LEFT, 'rest')]
    asked.push(more, rest)
    for (const entry of [more, rest]) await untilAnswered(apis, entry)
    const said = [more, rest].map(({ answers }) => answers.at(-1)?.status).join(' and ')
    const wrong = said === '409 and 202' ? [] : [said]
    expect(check('A cent more than is left is refused, and what is left is not', wrong, said))
    await until(DONE_MS_MAX, async () => (await refunded())?.open === 0)
    const sum = (await refunded())?.sum ?? 0
    const off = sum === DEPOSIT ? [] : [`${sum}`]
    expect(check('What was refunded is the deposit, to the cent', off, `${sum} of ${DEPOSIT}`))
  },
}

/**
 * Ask for all entries at once, at both processes in turn. Who waited too long for the lock asks
 * again.
 */
async function all({ stack, add, healed }: Stage, entries: readonly Entry[], what: string) {
  const agent = connections(SOCKETS)
  const apis = stack.apis.map(({ url }) => url)
  const startedMs = performance.now()
  await Promise.all(
    entries.map(async (entry, index) => {
      const answer = await ask(apis[index % 2] ?? '', entry, agent)
      if (!isDefinite(answer)) await untilAnswered(apis, entry)
    }),
  )
  await agent.destroy()
  add(what, entries.length)
  healed(`all answered after ${Math.round(performance.now() - startedMs)} ms`)
}

export const RACES: readonly Scenario[] = [ONE_KEY, LAST_CENT, FIFTY_REFUNDS]
