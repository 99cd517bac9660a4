import { BUSY } from '../../src/domain/acceptance.ts'
import { settle } from '../../src/charging/settle.ts'
import { CommitUnknown, ReadOnly, Unavailable } from '../../src/ports.ts'
import type { Mutant } from './planting.ts'

/** Bugs in what is done about somebody else's locks, and while the database is away. */
export const LOCK_MUTANTS: readonly Mutant[] = [
  {
    name: 'locked_batch_refused',
    about: 'one locked user, and its whole batch is busy',
    plants: {
      accept:
        (accept) =>
        async (...asked) => {
          const answers = await accept(...asked)
          return answers.includes(BUSY) ? answers.map(() => BUSY) : answers
        },
    },
  },
  {
    name: 'locked_batch_left_out',
    about: 'one locked row, and its whole batch is settled later',
    plants: {
      async settle(world, settlements) {
        const settled = await settle(world, settlements)
        return settled.busy.length > 0 ? { ...settled, busy: settlements } : settled
      },
    },
  },
  {
    name: 'left_out_dropped',
    about: 'what is left out of a settlement is forgotten',
    plants: {
      settle: async (world, settlements) => ({ ...(await settle(world, settlements)), busy: [] }),
    },
  },
  {
    name: 'word_given_up',
    about: 'a settlement is forgotten when the database is away',
    plants: {
      async settle(world, settlements) {
        try {
          return await settle(world, settlements)
        } catch (error) {
          const away = error instanceof Unavailable || error instanceof CommitUnknown
          if (!away) throw error
          return { settlements: [], stale: 0, busy: [], failed: [] }
        }
      },
    },
  },
  {
    name: 'read_only_is_a_no',
    about: 'a server that takes no writes is answered with 402',
    plants: {
      accept:
        (accept) =>
        async (...asked) => {
          try {
            return await accept(...asked)
          } catch (error) {
            if (!(error instanceof ReadOnly)) throw error
            const refusal = { code: 'insufficient_funds' } as const
            return asked[0].map(() => ({ kind: 'refused', refusal, replayed: false }) as const)
          }
        },
    },
  },
  {
    name: 'read_only_is_a_bug',
    about: 'a server that takes no writes is an error of ours',
    plants: {
      async settle(world, settlements, patient) {
        try {
          return await settle(world, settlements, patient)
        } catch (error) {
          throw error instanceof ReadOnly ? new Error('read-only transaction') : error
        }
      },
    },
  },
  {
    name: 'read_only_forgotten',
    about: 'what a server that takes no writes refused is not written later',
    plants: {
      async settle(world, settlements, patient) {
        try {
          return await settle(world, settlements, patient)
        } catch (error) {
          if (!(error instanceof ReadOnly)) throw error
          return { settlements: [], stale: 0, busy: [], failed: [] }
        }
      },
    },
  },
]
