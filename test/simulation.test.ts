import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { FAULTS } from './simulation/faults.ts'
import { LATE, LOSING, MISTAKEN, REDRIVEN } from './simulation/plenty.ts'
import { FAILED_WATCHED, TOLD, WATCHED } from './simulation/plenty.ts'
import { simulate, type SimulationResult } from './simulation/run.ts'

/** Some seconds. `npm run test:simulation -- --seeds N` runs as many as you like, and CI 2,000. */
const SEEDS = 300
const FIRST_SEED = 1

/** Seeds that once found a bug; they are run first, for good. */
const FOUND: readonly number[] = [1_558, 1_690, 1_996, 2_279, 10_034]

/** Seeds that reach what few others do. */
const RARE: readonly number[] = [305, 317, 370, 373, 420, 428, 477, 557, 784, 1_342]

/** Seeds of histories with much of something rare. */
const PLENTY = [
  [LATE, [1, 2, 3, 9, 10]],
  [MISTAKEN, [30, 40, 41, 45, 48, 74]],
  [REDRIVEN, [3, 4, 10, 48, 152]],
  [LOSING, [1, 2, 3]],
] as const

/** What a run over many seeds has to see at least once, or it tests less than it says. */
const REACHED = [
  'payment_success payment_failed payment_unknown letter_failed letter_unknown',
  'accepted insufficient_funds idempotency_key_reuse user_not_found replayed',
  'decided_succeed decided_fail decided_retry decided_doubt decided_release',
  'decided_wait decided_pending',
  'stale late_evidence worker_lost charged_after_failed asked_again',
  'busy left_out',
  'act_redrive_new act_redrive_failed act_redrive_success act_repeat act_by_evidence',
  'act_resolve_success act_resolve_failed act_insisted redrive_letter_not_open refreshed',
  'refund_accepted refund_not_refundable refund_insufficient_funds refund_fee',
  'refund_success refund_failed refund_unknown refund_repeated',
  'cancel_raced cancel_canceled cancel_in_flight cancel_payment_final',
  'canceled_deposit canceled_withdraw canceled_refund',
  'booked known return_not_returnable return_return_differs return_fee lost won_back',
  'return_charged_back return_refunded_there return_payout_returned return_dispute_won',
  'return_was_refund return_refund_in_doubt',
  'correct_redrive_open correct_correction_is_redrive correct_correction_differs',
  'corrected corrected_by_word settled_late correct_not_correctable edited reference_taken',
  'settled_at_a_loss loss_repaid',
  'in_JPY_success in_KWD_success currency_mismatch amount_precision',
].flatMap((names) => names.split(' '))

function replayOf({ seed, failure }: SimulationResult): string {
  return (
    `seed ${seed} broke a promise at step ${failure?.step}: ${failure?.message}\n` +
    `Replay: SIM_SEED=${seed} node scripts/test.mjs test/simulation.test.ts`
  )
}

const only = process.env.SIM_SEED
const unlessGiven = only === undefined && 'it replays the one history that SIM_SEED names'
const ifGiven = only !== undefined && 'SIM_SEED names one history'

test('one seed keeps every promise', { skip: unlessGiven }, async () => {
  const print = (line: string) => void process.stdout.write(`${line}\n`)
  const result = await simulate(Number(only), {}, print)
  print(inspect(result))
  assert.equal(result.failure, null, replayOf(result))
})

test(
  'histories by the hundred keep every promise, and reach every state',
  { skip: ifGiven },
  async (t) => {
    const counts = new Map<string, number>()
    const startedMs = performance.now()
    const seeds = [
      ...FOUND,
      ...RARE,
      ...Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index),
    ]
    const runs = [
      ...seeds.map((seed) => () => simulate(seed)),
      ...PLENTY.flatMap(([plants, own]) => own.map((seed) => () => simulate(seed, plants))),
    ]
    for (const run of runs) {
      const result = await run()
      assert.equal(result.failure, null, replayOf(result))
      for (const [what, count] of Object.entries({ ...result.faults, ...result.reached })) {
        counts.set(what, (counts.get(what) ?? 0) + count)
      }
    }
    const perMinute = Math.round((runs.length / (performance.now() - startedMs)) * 60_000)
    t.diagnostic(`${runs.length} seeds, ${perMinute} per minute`)
    const missing = [...Object.keys(FAULTS), ...REACHED].filter((what) => !counts.has(what))
    assert.deepEqual(missing, [], 'every fault and every state occurs')
  },
)

test('with two gateways each payment is carried out by its own', { skip: ifGiven }, async () => {
  for (const elsewhere of ['withdraw', 'deposit'] as const) {
    for (let seed = 1; seed <= 10; seed += 1) {
      const result = await simulate(seed, { plan: { elsewhere } })
      assert.equal(result.failure, null, replayOf(result))
    }
  }
})

test('what a gateway has in hand for too long is ended by it, and only by its word', async (t) => {
  if (ifGiven !== false) return t.skip()
  let ended = 0
  for (let seed = 1; seed <= 20; seed += 1) {
    const result = await simulate(seed, { plan: { endPendingMs: 2_000 } })
    assert.equal(result.failure, null, replayOf(result))
    ended += result.reached['ended_there'] ?? 0
  }
  assert.ok(ended > 0, 'nothing was ended')
})

test('what a gateway neither ends nor finishes is unknown, and ends by its word', async (t) => {
  if (ifGiven !== false) return t.skip()
  let lost = 0
  for (let seed = 1; seed <= 20; seed += 1) {
    const result = await simulate(seed, { plan: { lostPendingMs: 1_000 } })
    assert.equal(result.failure, null, replayOf(result))
    lost += result.reached['lost_there'] ?? 0
  }
  assert.ok(lost > 0, 'everything was ended')
})

test('what somebody wants ended its gateway ends, and only by its word', async (t) => {
  if (ifGiven !== false) return t.skip()
  let ended = 0
  let open = 0
  const trouble = { pending: 0.8 }
  const plan = { clerks: 3, deeds: 12, endsPending: true }
  for (let seed = 1; seed <= 20; seed += 1) {
    const result = await simulate(seed, { trouble, plan })
    assert.equal(result.failure, null, replayOf(result))
    ended += result.reached['ended_when_asked'] ?? 0
    open += result.reached['asked_to_end'] ?? 0
  }
  assert.ok(ended > 0 && open > 0, 'it is ended, and not always')
})

test('what comes back at the gateway is found and booked once, whatever happens', async (t) => {
  if (ifGiven !== false) return t.skip()
  let came = 0
  const seen = new Set<string>()
  for (const elsewhere of [null, 'withdraw'] as const) {
    for (let seed = 1; seed <= 10; seed += 1) {
      const result = await simulate(seed, { ...WATCHED, plan: { ...WATCHED.plan, elsewhere } })
      assert.equal(result.failure, null, replayOf(result))
      came += result.reached['came_back_there'] ?? 0
      for (const what of Object.keys(result.reached)) seen.add(what)
    }
  }
  t.diagnostic(`${came} came back`)
  for (const what of ['booked', 'nothing', 'no_word']) assert.ok(seen.has(`watched_${what}`), what)
  assert.ok(!seen.has('watched_refused'), 'the gateway never contradicts books that follow it')
})

test('a yes about a payment that failed here has a letter, whatever happens', async (t) => {
  if (ifGiven !== false) return t.skip()
  const seen = new Map<string, number>()
  for (const seed of [2, 3, 9, 14, 15, 16]) {
    const result = await simulate(seed, FAILED_WATCHED)
    assert.equal(result.failure, null, replayOf(result))
    for (const what of ['yes_after_failed', 'watched_charged']) {
      seen.set(what, (seen.get(what) ?? 0) + (result.reached[what] ?? 0))
    }
  }
  t.diagnostic(JSON.stringify([...seen]))
  for (const [what, count] of seen) assert.ok(count > 0, what)
})

test('every event that is wanted arrives, each time as it was, whatever receivers answer', async (t) => {
  if (ifGiven !== false) return t.skip()
  const seen = new Set<string>()
  for (let seed = 1; seed <= 12; seed += 1) {
    const result = await simulate(seed, TOLD)
    assert.equal(result.failure, null, replayOf(result))
    for (const what of Object.keys(result.reached)) seen.add(what)
  }
  const answers = 'ok error moved refused gone busy busy_long away lost reply_cut silent'
  const acts = 'disabled_gone disabled_silent turned_off turned_on sent_again caught_up retried_one'
  const wanted = [...answers.split(' ').map((name) => `told_${name}`), ...acts.split(' ')]
  assert.deepEqual(
    wanted.filter((what) => !seen.has(what)),
    [],
    'every answer and every act occurs',
  )
})

test('a seed is one history, step by step', { skip: ifGiven }, async () => {
  for (const seed of [1, 77, 4_242]) {
    const first: string[] = []
    const second: string[] = []
    const one = await simulate(seed, {}, (line) => first.push(line))
    const other = await simulate(seed, {}, (line) => second.push(line))
    assert.deepEqual(second, first)
    assert.deepEqual(other, one)
  }
})
