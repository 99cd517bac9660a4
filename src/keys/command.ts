import { randomBytes } from 'node:crypto'
import { InvalidArgumentError, type Command } from 'commander'
import { JSON_OPTION, type AsJson } from '../adapters/command-options.ts'
import { print, refusedSaying, withOpen, type Opened } from '../adapters/commands.ts'
import { newKey, SCOPES, type Scope } from '../domain/api-key.ts'
import { printable } from '../domain/printable.ts'
import type { Db } from '../ports.ts'
import { keyBody } from './bodies.ts'
import { insertKey, listKeys, revokeKey, type StoredKey } from './store.ts'

type Open = () => Promise<Opened<{ readonly db: Db }>>

/** `payments keys create|list|revoke`. */
export function keysCommand(program: Command, open: Open): void {
  const keys = program.command('keys').description('Make, list and revoke API keys.')
  keys
    .command('create')
    .description('Make a key. Its token is shown only now; the database keeps a hash.')
    .requiredOption('--name <name>', 'what the key is for, 1 to 100 characters')
    .option(
      '--scopes <list>',
      'of read, write, refund, operate, separated by commas',
      parseScopes,
      ['read', 'write'] satisfies Scope[],
    )
    .option(...JSON_OPTION)
    .action(async (options: AsJson & { name: string; scopes: Scope[] }) => {
      const { scopes } = options
      await withOpen(open, async ({ db }) => {
        const key = newKey(randomBytes)
        const stored = await insertKey(db.global, key, options.name, scopes)
        if (stored === null) throw new Error('the key was not stored')
        if (options.json) return print(JSON.stringify({ ...keyBody(stored), token: key.token }))
        print(`${key.token}\n`)
        print(`Key ${key.id} (${scopes.join(', ')}). Keep the token: it is not shown again.`)
        print(`Use it as: -H 'Authorization: Bearer ${key.token.slice(0, 20)}…'`)
      })
    })
  keys
    .command('list')
    .description('List the keys, newest first.')
    .option(...JSON_OPTION)
    .action(async (options: AsJson) => {
      await withOpen(open, async ({ db }) => {
        const all = await listKeys(db.global)
        if (options.json) return print(JSON.stringify(all.map(keyBody)))
        if (all.length === 0) print('No keys. Make one with `payments keys create --name …`.')
        for (const key of all) print(line(key))
      })
    })
  keys
    .command('revoke')
    .description('Revoke a key for good; every process refuses it within 5 seconds.')
    .argument('<id>', 'the 12 characters between `pay_` and the next `_`')
    .option(...JSON_OPTION)
    .action(async (id: string, options: AsJson) => {
      await withOpen(open, async ({ db }) => {
        const key = await revokeKey(db.global, id)
        if (key === null) {
          const sentence = `There is no key ${id}. \`payments keys list\` shows them.`
          throw refusedSaying('key_not_found', sentence)
        }
        print(options.json ? JSON.stringify(keyBody(key)) : line(key))
      })
    })
}

function parseScopes(text: string): Scope[] {
  const given = text.split(',').map((scope) => scope.trim())
  const unknown = given.filter((scope) => !SCOPES.some((known) => known === scope))
  if (unknown.length > 0) {
    throw new InvalidArgumentError(
      `Unknown scope: ${unknown.join(', ')}. There are ${SCOPES.join(', ')}.`,
    )
  }
  return SCOPES.filter((scope) => given.includes(scope))
}

function line(key: StoredKey): string {
  const state = key.revokedAt === null ? 'in force' : `revoked ${key.revokedAt.toISOString()}`
  return `${key.id}  ${key.scopes.join(',').padEnd(18)}  ${state}  ${printable(key.name)}`
}
