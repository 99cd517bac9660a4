import { spawnSync } from 'node:child_process'
import { fromWire } from '../../src/domain/money.ts'
import { httpCharges } from '../../src/gateways/http-charges.ts'
import { decimals } from './mixed-acts.ts'
import { gatewaysOf, type Stack } from './stack.ts'
import { check, type Check } from './witnesses.ts'

/** What the books have to say when everything is at rest. */
export async function booksAtRest(stack: Stack): Promise<Check[]> {
  return [
    await verifiedByCommand(stack),
    await sumsByCurrency(stack),
    await nothingBeyond(stack),
    await nobodyPaysTwice(stack),
    await refundsThere(stack),
    ...(await secondReader(stack)),
  ]
}

async function verifiedByCommand(stack: Stack): Promise<Check> {
  const { code, stdout, stderr } = await stack.command('verify', '--gateway')
  const wrong = code === 0 ? [] : [`exit code ${code}: ${stderr.slice(-300)} ${stdout.slice(-300)}`]
  const said = stdout.trim().split(/\s+/).slice(-30).join(' ')
  return check('`payments verify --gateway` ends with 0', wrong, said)
}

/** Users and their currencies, with the entries of each account. */
const ENTRIES = `
  from ledger_entries entry
  join users owner on owner.shard = entry.shard and owner.id = entry.user_id
  cross join (select value as books from settings where name = 'currency') settings`

async function sumsByCurrency({ query }: Stack): Promise<Check> {
  const rows = await query<{ currency: string; sum: string; entries: number }>(`
    select coalesce(owner.currency, books) as currency, sum(entry.amount)::text as sum,
      count(*)::int as entries
    ${ENTRIES}
    group by 1 order by 1`)
  const wrong = rows.filter(({ sum }) => sum !== '0').map(({ currency, sum }) => currency + sum)
  const counted = rows.map(({ currency, entries }) => `${entries} legs in ${currency}`).join(', ')
  return check('The journal of each currency sums to zero', wrong, counted)
}

/** No more goes back of a payment than it was, by refunds, by returns, and by what is written. */
async function nothingBeyond({ query }: Stack): Promise<Check> {
  const rows = await query<{ id: string; parents: number; beyond: boolean }>(`
    select parent.id::text as id,
      coalesce(sum(child.amount) filter (where child.type = 'refund'), 0) > parent.amount
        or coalesce(sum(child.amount) filter (where child.type = 'refund'), 0)
          <> coalesce(parent.refunded, 0)
        or coalesce(sum(case child.return_kind when 'dispute_won' then -child.amount
            else child.amount end) filter (where child.type = 'return'), 0)
          not between 0 and parent.amount as beyond
    from payments parent
    join payments child on child.parent_id = parent.id and child.status = 'success'
    group by parent.id, parent.amount, parent.refunded`)
  const beyond = rows.filter((row) => row.beyond).map(({ id }) => id)
  return check('No more goes back of a payment than it was', beyond, `${rows.length} payments`)
}

/** What a user gave back of one deposit, by refunds and by charge-backs together. */
async function nobodyPaysTwice({ query }: Stack): Promise<Check> {
  const rows = await query<{ id: string; amount: string; paid: string }>(`
    select parent.id::text as id, parent.amount::text as amount,
      (-sum(user_available + user_held))::text as paid
    from payments parent
    join payments child on child.parent_id = parent.id
    join postings on postings.shard = child.shard and postings.user_id = child.user_id
      and postings.payment_id = child.id
    where parent.type = 'deposit'
    group by parent.id, parent.amount`)
  const twice = rows
    .filter(({ amount, paid }) => BigInt(paid) > BigInt(amount))
    .map(({ id, amount, paid }) => `${id} of ${amount}: ${paid}`)
  return check('No user pays twice for one deposit', twice, `${rows.length} deposits`)
}

/** The same of refunds, as the gateway has them. */
async function refundsThere(stack: Stack): Promise<Check> {
  const refunds = new Set<string>()
  for (const { gateway, url } of gatewaysOf(stack)) {
    const list = httpCharges(url)
    for (let after: number | null = 0; after !== null;) {
      const page: Awaited<ReturnType<typeof list>> = await list(after)
      for (const { type, paymentId } of page.charges) {
        if (type === 'refund') refunds.add(`${gateway} ${paymentId}`)
      }
      after = page.next
    }
  }
  const ours = await stack.query<{ id: string }>(
    `select concat_ws(' ', coalesce(gateway, 'http'), id) as id
     from payments
     where type = 'refund' and status = 'success'`,
  )
  const missing = ours.filter(({ id }) => !refunds.delete(id)).map(({ id }) => `not there: ${id}`)
  const more = [...refunds].map((id) => `not here: ${id}`)
  return check(
    'Refunds there are the refunds here',
    [...missing, ...more],
    `${ours.length} refunds`,
  )
}

/** An independent program adds up the whole journal. */
async function secondReader(stack: Stack): Promise<Check[]> {
  const name = 'hledger finds every entry balanced and every balance as it is stored'
  if (spawnSync('hledger', ['--version']).status !== 0) {
    return [check(name, [], 'not looked at: hledger is not installed')]
  }
  const journal = await stack.command('export', '--format', 'hledger')
  const failed = journal.code === 0 ? [] : [`export ended with ${journal.code}: ${journal.stderr}`]
  const checked = hledger(journal.stdout, 'check')
  const wrong = checked.status === 0 ? failed : [...failed, checked.stderr.slice(0, 500)]
  const entries = journal.stdout.match(/ ; at:/g)?.length ?? 0
  const theirs = balancesOf(journal.stdout)
  const ours = await balancesHere(stack)
  const differ = [
    ...ours.filter((line) => !theirs.includes(line)).map((line) => `here ${line}`),
    ...theirs.filter((line) => !ours.includes(line)).map((line) => `there ${line}`),
  ]
  return [
    check(name, wrong, `${entries} entries`),
    check('Its balances are ours, to the last minor unit', differ, ours.join(', ')),
  ]
}

function hledger(journal: string, ...args: readonly string[]) {
  const max = { maxBuffer: 1 << 30 }
  return spawnSync('hledger', ['-f', '-', ...args], { input: journal, encoding: 'utf8', ...max })
}

/** The balance of each account in each currency, in minor units, as hledger adds it up. */
function balancesOf(journal: string): string[] {
  const shape = ['--depth', '1', '--no-total', '--empty', '-O', 'csv', '--layout', 'bare']
  const { stdout } = hledger(journal, 'balance', ...shape)
  const [, ...lines] = stdout.trim().split('\n')
  const balances = lines.map((text) => {
    const [account = '', currency = '', amount = ''] = JSON.parse(`[${text}]`) as string[]
    const minor = fromWire(amount.replace(/\.$/, ''), decimals(currency) as 2)
    return `${account} ${currency} ${minor}`
  })
  return balances.filter((line) => !line.endsWith(' 0'))
}

async function balancesHere({ query }: Stack): Promise<string[]> {
  const rows = await query<{ line: string }>(`
    select concat_ws(' ', entry.account, coalesce(owner.currency, books), sum(entry.amount)) as line
    ${ENTRIES}
    group by entry.account, coalesce(owner.currency, books)
    having sum(entry.amount) <> 0
    order by 1`)
  return rows.map(({ line }) => line)
}
