import type { Plants } from './world-types.ts'

/** Histories in which much is given back. */
export const GIVING: Plants = {
  plan: { clerks: 3, deeds: 12, refundFee: 'return', returnFee: 'return' },
}

/** Histories in which much comes back at the gateway, and payments are looked at again. */
export const WATCHED: Plants = {
  profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' },
  plan: {
    clerks: 3,
    deeds: 12,
    operators: 0,
    steps: 800,
    returnFee: 'return',
    watchMs: [5_000, 60_000],
  },
}

/** Histories in which somebody wants to be told of everything. */
export const TOLD: Plants = { plan: { endpoints: 2, wishes: 8, steps: 700 } }

/** Histories in which payments fail that the gateway executes later than it says. */
export const LATE: Plants = {
  profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'consistent' },
  trouble: { beyond_grace: 0.9, pause: 0, worker_crash: 0, lookup_failed: 0, reply_lost: 0 },
  plan: { ...GIVING.plan, deeds: 30, steps: 1_200, workers: 2, attemptsMax: 1, giveUpMs: 0 },
}

/** Histories in which people fail what its gateway executed, and payments are looked at again. */
export const FAILED_WATCHED: Plants = {
  profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'eventual' },
  trouble: { reply_lost: 0.9, lookup_failed: 0.9 },
  plan: {
    clerks: 0,
    operators: 3,
    acts: 20,
    steps: 700,
    workers: 2,
    attemptsMax: 1,
    giveUpMs: 0,
    watchMs: [5_000, 60_000],
  },
}

/** Histories in which refunds are seen at the gateway that are in doubt here. */
export const MISTAKEN: Plants = {
  profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'eventual' },
  trouble: { reply_lost: 0.5, lookup_failed: 0.5 },
  plan: { ...GIVING.plan, deeds: 30, steps: 1_200, attemptsMax: 1 },
}

/** Histories in which much that failed is redriven, and what becomes of that is seen elsewhere. */
export const REDRIVEN: Plants = {
  profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'eventual' },
  trouble: { declined: 0.5, reply_lost: 0.3 },
  plan: { ...GIVING.plan, deeds: 30, operators: 2, acts: 20, steps: 1_200, attemptsMax: 1 },
}

/** Histories in which payouts are booked at a loss, and come back. */
export const LOSING: Plants = {
  profile: { repeats: 'first_answer', keyLifeMs: 3_600_000, lookup: 'eventual' },
  trouble: { reply_lost: 0.9, lookup_failed: 0.9, worker_crash: 0, pause: 0, declined: 0 },
  plan: {
    ...GIVING.plan,
    loses: true,
    deeds: 20,
    operators: 0,
    currencies: [null],
    attemptsMax: 1,
    clients: 4,
    requests: 7,
    users: 2,
    steps: 1_000,
  },
}
