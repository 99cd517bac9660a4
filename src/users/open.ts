import { openingEntry } from '../domain/ledger.ts'
import { decideOpenings, type OpeningAnswer, type UserDraft } from '../domain/opening.ts'
import { shardOfText } from '../domain/shard.ts'
import { post } from '../ledger/post.ts'
import type { Db, Shard, Tx } from '../ports.ts'
import { eachPart } from '../each-shard.ts'
import { takeIdsIn } from './ids.ts'
import { holdKeys, keyed, keyShard, type Placed } from './opening-keys.ts'
import { sayOf } from './details-store.ts'
import { holdersFromBefore } from './named.ts'
import { releaseKeys } from './opening-keys-store.ts'
import { insertUsers, readUsers } from './store.ts'

/** What became of a draft. `failed`: its shard could not do it, and nobody else's suffers. */
export type OpenAnswer = OpeningAnswer | { readonly kind: 'failed'; readonly error: unknown }

/**
 * Open users: N drafts in, N answers out, in order.
 *
 * Key and external id are unique over all shards, because each is in the shard that its text tells.
 * A user with an external id lives where that is, another one with a key where the key is; so most
 * are one transaction of one shard. Where both are given and fall to different shards, the key is
 * reserved first, with the id that the user is to have: whoever repeats the request opens that user
 * or finds it, so a lost reply never makes two. A key of before the database got more shards may
 * stand for a user of another shard, and is answered there.
 */
export async function openUsers(db: Db, drafts: readonly UserDraft[]): Promise<OpenAnswer[]> {
  const homes = drafts.map((draft) => homeOf(db, draft))
  const ids = await takeIdsIn(db, homes)
  const answers: OpenAnswer[] = []
  const each = eachAnswering(db, answers)
  const { holders, failed } = await holdersFromBefore(db, drafts.flatMap(externalIdOf))
  const placed: Placed[] = []
  drafts.forEach((draft, place) => {
    const isKnown = failed === null || externalIdOf(draft).every((name) => holders.has(name))
    if (isKnown) placed.push({ ...draft, place, id: ids[place] ?? 0n })
    else answers[place] = { kind: 'failed', error: failed.error }
  })

  const reserved: Placed[] = []
  const away = placed.filter((draft) => keyIsElsewhere(db, draft))
  await each(away, keyPlace(db), async (shard, part) => {
    for (const held of await shard.transaction((tx) => holdKeys(tx, part))) {
      if (held.refused === null) reserved.push({ ...held.draft, reserved: held.fresh })
      else answers[held.draft.place] = held.refused
    }
  })

  const refused: Placed[] = []
  const elsewhere: Placed[] = []
  const here = placed.filter((draft) => !keyIsElsewhere(db, draft))
  const idOf = ({ id }: Placed) => id
  const open = async (shard: Shard, part: readonly Placed[]): Promise<void> => {
    const books = { holders, isHere: (id: bigint) => db.of(id) === shard }
    const given = await shard.transaction((tx) => openInShard(tx, part, books))
    elsewhere.push(...given.elsewhere)
    for (const draft of part) {
      const answer = given.answers.get(draft.place)
      if (answer === undefined) continue
      answers[draft.place] = answer
      // Be it this request or an earlier one that reserved the key: it opened nobody.
      if (draft.reserved !== undefined && answer.kind === 'refused') refused.push(draft)
    }
  }
  await each([...here, ...reserved], idOf, open)
  await each([...elsewhere], idOf, open)
  await each(refused, keyPlace(db), (shard, part) => {
    return shard.transaction(async (tx) => releaseKeys(tx, part.flatMap(keyed)))
  })
  return answers
}

/** The external id of a draft, if it has one. */
function externalIdOf({ texts }: UserDraft): string[] {
  const externalId = texts?.externalId ?? null
  return externalId === null ? [] : [externalId]
}

/** The shard of a user to be; null: any. */
function homeOf(db: Db, draft: UserDraft): number | null {
  const { key } = draft
  const [externalId] = externalIdOf(draft)
  if (externalId !== undefined) return externalIdShard(db, externalId)
  return key === undefined || key === null ? null : keyShard(db, key)
}

/** The shard of the user with an external id. */
export function externalIdShard(db: Db, externalId: string): number {
  return shardOfText(externalId, db.shards.length)
}

/** Whether the key of a draft is in another shard than its user will be. */
function keyIsElsewhere(db: Db, { key, id }: Placed): boolean {
  return key !== undefined && key !== null && keyShard(db, key) !== db.of(id).number
}

/** An id of the shard in which the key of a draft is. */
function keyPlace(db: Db) {
  return ({ key, id }: Placed): bigint =>
    key === undefined || key === null ? id : BigInt(keyShard(db, key))
}

/** Do something where drafts live. Those of a shard that fails are answered so, and only they. */
function eachAnswering(db: Db, answers: OpenAnswer[]) {
  return async (
    drafts: readonly Placed[],
    where: (draft: Placed) => bigint,
    work: (shard: Shard, part: readonly Placed[]) => Promise<void>,
  ): Promise<void> => {
    await eachPart(db, drafts, where, async (shard, part) => {
      try {
        await work(shard, part)
      } catch (error) {
        for (const { place } of part) answers[place] = { kind: 'failed', error }
      }
    })
  }
}

/** What the users of a shard are opened by. */
interface Books {
  /** Who had an external id before there were more shards. */
  readonly holders: ReadonlyMap<string, bigint>
  readonly isHere: (userId: bigint) => boolean
}

/** What became of drafts, and those whose keys stand for users of other shards. */
interface Opened {
  readonly answers: ReadonlyMap<number, OpeningAnswer>
  readonly elsewhere: readonly Placed[]
}

/** Open the users of a shard; keys that are in another one are reserved already. */
async function openInShard(
  tx: Tx,
  drafts: readonly Placed[],
  { holders: before, isHere }: Books,
): Promise<Opened> {
  const keys = await holdKeys(
    tx,
    drafts.filter(({ reserved }) => reserved === undefined),
  )
  const answers = new Map<number, OpeningAnswer>()
  for (const { draft, refused } of keys) if (refused !== null) answers.set(draft.place, refused)
  const kept = keys.filter(({ refused }) => refused === null)
  const held = kept.filter(({ draft }) => isHere(draft.id))
  const elsewhere = kept.filter(({ draft }) => !isHere(draft.id))
  const others = drafts.flatMap((draft) =>
    draft.reserved === undefined ? [] : [{ draft, fresh: draft.reserved }],
  )
  const open = [...held, ...others].toSorted((one, other) => one.draft.place - other.draft.place)
  // An id that is reserved in another shard may be a user by now, whoever reserved it: a repeated
  // request that came in between has opened it.
  const known = open.filter(({ draft, fresh }) => !fresh || draft.reserved !== undefined)
  const old = [...new Set(known.map(({ draft }) => draft.id))]
  const existing = new Set((await readUsers(tx, old)).map(({ id }) => id))
  // Of whoever is there nothing is said any more: it may have been erased since.
  const said = open.flatMap(({ draft: { id, texts } }) => {
    if (texts === undefined || texts === null || existing.has(id)) return []
    const isTaken = texts.externalId !== null && before.has(texts.externalId)
    return isTaken ? [] : [{ ...texts, id }]
  })
  const holders = new Map([...before, ...(await sayOf(tx, said))])
  // Another process may have opened a reserved one meanwhile: its external id was waited for.
  for (const { id } of await readUsers(tx, old)) existing.add(id)

  const openings = open.map(({ draft }) => draft)
  const verdict = decideOpenings(openings, { holders, existing })
  openings.forEach(({ place }, index) => {
    const answer = verdict.answers[index]
    if (answer !== undefined) answers.set(place, answer)
  })
  const unused = held.filter(({ draft }) => answers.get(draft.place)?.kind === 'refused')
  releaseKeys(
    tx,
    unused.flatMap(({ draft }) => keyed(draft)),
  )
  const opened = verdict.opened.map(({ id, currency = null }) => ({ id, currency }))
  if (opened.length > 0) insertUsers(tx, opened)
  post(
    tx,
    verdict.opened.map(({ id, balance }) => openingEntry(id, balance)),
  )
  const away = elsewhere.map(({ draft }) => ({ ...draft, reserved: false }))
  return { answers, elsewhere: away }
}
