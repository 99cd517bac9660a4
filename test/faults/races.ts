import { ask, connections, openUser, type Entry } from './load.ts'
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
    const bodies = new Set(entry.answers.map(({ status, text }) => `${status} ${text}`))
    const accepted = entry.answers.filter(({ status }) => status === 202).length
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
      entries.filter(({ answers }) => answers[0]?.status === status).length
    const [yes, no] = [count(202), count(402)]
    const bad = yes === FUNDED && no === REQUESTS - FUNDED ? [] : [`${yes} x 202, ${no} x 402`]
    expect(check('Exactly 500 are accepted and 500 refused', bad, `${yes} x 202, ${no} x 402`))
  },
}

/** Ask for all entries at once, at both processes in turn. */
async function all({ stack, add, healed }: Stage, entries: readonly Entry[], what: string) {
  const agent = connections(SOCKETS)
  const startedMs = performance.now()
  await Promise.all(
    entries.map((entry, index) => ask(stack.apis[index % 2]?.url ?? '', entry, agent)),
  )
  await agent.destroy()
  add(what, entries.length)
  healed(`all answered after ${Math.round(performance.now() - startedMs)} ms`)
}

export const RACES: readonly Scenario[] = [ONE_KEY, LAST_CENT]
