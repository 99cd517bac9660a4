import type { ActOptions, Answer, CallOptions, Client, Done } from './client.ts'
import { Refusal } from './errors.ts'
import { at } from './paths.ts'
import type {
  CorrectedDeadLetter,
  DeadLetter,
  RedrivenDeadLetter,
  ResolvedDeadLetter,
} from './answers.ts'
import type { CorrectRequest, ListDeadLetters, RedriveRequest, ResolveRequest } from './requests.ts'

/** What can be done with payments that failed or could not be finished. */
export interface DeadLetters {
  get(id: number, options?: CallOptions): Promise<Answer<'letter', DeadLetter>>
  /** Letters, newest first; `limit` is the size of a page. */
  list(filter?: ListDeadLetters, options?: CallOptions): AsyncGenerator<DeadLetter>
  redrive(
    id: number,
    body: RedriveRequest,
    options?: ActOptions,
  ): Promise<Done<'letter', RedrivenDeadLetter>>
  resolve(
    id: number,
    body: ResolveRequest,
    options?: ActOptions,
  ): Promise<Done<'letter', ResolvedDeadLetter>>
  correct(
    id: number,
    body: CorrectRequest,
    options?: ActOptions,
  ): Promise<Done<'letter', CorrectedDeadLetter>>
}

const PAGE = 50

export function deadLettersOf(client: Client): DeadLetters {
  return {
    get: async (id, options) => client.read('letter', at`/dlq/${id}`, options),
    list: (filter = {}, options) => list(client, filter, options),
    redrive: async (id, body, options) =>
      client.once('letter', at`/dlq/${id}/redrive`, body, options),
    resolve: async (id, body, options) =>
      client.once('letter', at`/dlq/${id}/resolve`, body, options),
    correct: async (id, body, options) =>
      client.once('letter', at`/dlq/${id}/correct`, body, options),
  }
}

/**
 * Letters come in pages by number, so one that moved to the next page meanwhile is not told twice.
 * Where a state is asked for, letters leave the list as they are dealt with, and those behind them
 * move up: the list is gone through again until it has none that was there at the beginning.
 */
async function* list(
  client: Client,
  { limit = PAGE, offset = 0, ...filter }: ListDeadLetters,
  options?: CallOptions,
): AsyncGenerator<DeadLetter> {
  const told = new Set<number>()
  let newest: string | null = null
  for (let left = true; left;) {
    left = false
    for (let [skip, full] = [offset, true]; full; skip += limit) {
      const query = { ...filter, limit, offset: skip }
      const asked = { ...options, query }
      const answer = await client.read<'letters', readonly DeadLetter[]>('letters', '/dlq', asked)
      if (!answer.ok) throw new Refusal(answer.problem)
      const latest = (newest ??= answer.letters[0]?.created_at ?? '')
      const fresh = answer.letters.filter(
        ({ id, created_at }) => !told.has(id) && created_at <= latest,
      )
      for (const letter of fresh) told.add(letter.id)
      yield* fresh
      full = answer.letters.length >= limit
      left ||= fresh.length > 0 && filter.state !== undefined
    }
  }
}
