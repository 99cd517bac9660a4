import { connectToPrimary } from './primary.ts'

/** What the role must exist for; a superuser or member is asked for nothing else. */
const ROLE = 'select from pg_roles where rolname = $1'

/**
 * The statements that leave a role what the owner of each table has left to itself, and no more:
 * what is only ever written down stays as it was written. Of the list of migrations it may read.
 */
const GRANTS = `
  with own as (
    select
      c.relname,
      string_agg(lower(acl.privilege_type), ', ' order by acl.privilege_type) as privileges
    from
      pg_class c,
      aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) acl
    where
      c.relnamespace = current_schema()::regnamespace
      and c.relkind in ('r', 'p')
      and acl.grantee = c.relowner
      and acl.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
      and (acl.privilege_type = 'SELECT' or c.relname not like 'schema\\_migration%')
    group by c.relname
  )
  select format('revoke all on all tables in schema %I from %I', current_schema(), $1::text) as text
  union all
  select format('grant usage on schema %I to %I', current_schema(), $1::text)
  union all
  select
    format('grant usage, select on all sequences in schema %I to %I', current_schema(), $1::text)
  union all
  select format('grant %s on %I to %I', privileges, relname, $1::text)
  from own`

const CONNECT_MS_MAX = 10_000

/**
 * Grant to `role` what the service needs of the schema that is there, and take from it what it has
 * of these tables beyond that. Throws a sentence when there is no such role.
 */
export async function grantTo(url: string, role: string): Promise<void> {
  const options = {
    application_name: 'payments-migrate',
    connectionTimeoutMillis: CONNECT_MS_MAX,
  }
  const client = await connectToPrimary(options, url)
  try {
    await client.query('begin')
    if ((await client.query(ROLE, [role])).rowCount === 0) {
      throw new Error(
        `There is no role ${role}: create it first, as with \`create role ${role} login\`.`,
      )
    }
    const { rows } = await client.query<{ text: string }>(GRANTS, [role])
    for (const { text } of rows) await client.query(text)
    await client.query('commit')
  } finally {
    await client.end().catch(() => undefined)
  }
}
