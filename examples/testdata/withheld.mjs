// Everything that a program may do with the refresh token. Each line has to say that it is
// withheld.
import { format } from 'node:util'
import { authenticateUser } from 'kyc-auth'

const tokens = await authenticateUser(process.env.USERNAME, process.env.PASSWORD)
const { refreshToken: token } = tokens
const url = process.env.OTHER_URL
const uses = {
  print: () => format(token),
  'print the object': () => format(tokens),
  template: () => `${token}`,
  add: () => 'Bearer ' + token,
  method: () => token.split('.'),
  length: () => token.length,
  json: () => JSON.stringify(tokens),
  number: () => Number(token),
  'fetch json': () => fetch(url, { method: 'POST', body: JSON.stringify({ token }) }),
  'fetch header': () => fetch(url, { headers: { 'X-Token': token } }),
  'fetch header, formatted': () => fetch(url, { headers: { 'X-Token': `Bearer ${token}` } }),
}
for (const [name, use] of Object.entries(uses)) {
  const said = await (async () => `text: ${await use()}`)().catch((err) => `${err.name}: ${err.message}`)
  console.log(`${name}: ${said.replaceAll('\n', ' ')}`)
}
