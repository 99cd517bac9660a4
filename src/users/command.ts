import { InvalidArgumentError, type Command } from 'commander'
import {
  JSON_OPTION,
  parseIdArgument,
  withActOptions,
  type ActOptions,
  type AsJson,
} from '../adapters/command-options.ts'
import {
  operatorHere,
  print,
  refusedAs,
  refusedBy,
  withOpen,
  type Opened,
} from '../adapters/commands.ts'
import { exponentIn } from '../domain/currency.ts'
import type { Erased } from '../domain/details.ts'
import { writeJson } from '../domain/exact-json.ts'
import { formatMoney } from '../domain/money.ts'
import type { Operator } from '../domain/operator.ts'
import { printable } from '../domain/printable.ts'
import type { Refusal } from '../domain/refusal.ts'
import type { Db } from '../ports.ts'
import { pageOfUsers, viewUsers, type ShownUser } from './read.ts'
import { userBody } from './routes.ts'

/** Erases what was said about a user and its payments, and keeps who did it. */
type Erase = (
  db: Db,
  userId: bigint,
  by: Operator,
) => Promise<
  | { readonly kind: 'erased'; readonly erased: Erased }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
>

const NEWEST = 10n ** 15n
const LIMIT_MAX = 500

type Open = () => Promise<Opened<{ readonly db: Db }>>

/** `payments users list|show|erase`, on the database itself, so that it works while no API runs. */
export function usersCommand(program: Command, open: Open, erase: Erase): void {
  const users = program.command('users').description('List, show and erase users.')
  users
    .command('list')
    .description('List users, newest first.')
    .option('--external-id <id>', 'the one user that you call so')
    .option('--before <id>', 'users with lower ids: where a list goes on', parseIdArgument)
    .option('--limit <number>', `users to list, 1 to ${LIMIT_MAX}`, parseLimit, 50)
    .option(...JSON_OPTION)
    .action((options: ListOptions) => withOpen(open, ({ db }) => list(db, options)))
  users
    .command('show')
    .description('Show a user: its balance, and what is said about it.')
    .argument('<id>', 'the id of the user', parseIdArgument)
    .option(...JSON_OPTION)
    .action(async (id: bigint, { json }: AsJson) => {
      await withOpen(open, async ({ db }) => {
        const [user] = await viewUsers(db, [id])
        if (user === undefined || user === null) throw refusedAs('user_not_found')
        if ('error' in user) throw user.error
        print(json ? writeJson(userBody(user)) : lineOf(user))
      })
    })
  const erasing = users
    .command('erase')
    .description('Erase what was said about a user and its payments; the books stay.')
    .argument('<id>', 'the id of the user', parseIdArgument)
  withActOptions(erasing).action(async (id: bigint, { reason, json }: ActOptions) => {
    await withOpen(open, async ({ db }) => {
      const answer = await erase(db, id, operatorHere(reason))
      if (answer.kind === 'refused') throw refusedBy(answer.refusal)
      const { externalId, metadata, payments } = answer.erased
      const body = { id: Number(id), external_id: externalId, metadata, payments }
      print(json ? writeJson(body) : `User ${id} is erased, and ${payments} payments with it.`)
    })
  })
}

interface ListOptions extends AsJson {
  readonly externalId?: string
  readonly before?: bigint
  readonly limit: number
}

async function list(db: Db, options: ListOptions): Promise<void> {
  const { externalId = null, before = NEWEST, limit, json } = options
  const filter = { externalId, from: null, to: null }
  const { users, next, missing } = await pageOfUsers(db, filter, before, limit)
  const incomplete = missing.length > 0
  if (json) {
    const goesOn = next === null ? null : Number(next)
    print(writeJson({ data: users.map(userBody), next_before: goesOn, incomplete }))
    return
  }
  if (users.length === 0) print('No users.')
  for (const user of users) print(lineOf(user))
  if (next !== null) print(`There are more: --before ${next}`)
  if (incomplete) print('A part of the database cannot be read: its users are left out.')
}

function lineOf(user: ShownUser): string {
  const { id, available, held, currency, createdAt, externalId, metadata } = user
  const exponent = exponentIn(currency, currency)
  const balance = formatMoney(available, exponent).padStart(16)
  const money = `${balance} ${currency}  held ${formatMoney(held, exponent)}`
  const said = [externalId ?? '', metadata === null ? '' : writeJson(metadata)].filter(Boolean)
  return `${id}  ${createdAt.toISOString()}  ${money}  ${said.map(printable).join('  ')}`.trimEnd()
}

function parseLimit(text: string): number {
  const limit = Number(text)
  if (/^[1-9]\d*$/.test(text) && limit <= LIMIT_MAX) return limit
  throw new InvalidArgumentError(`It is a whole number of 1 to ${LIMIT_MAX}.`)
}
