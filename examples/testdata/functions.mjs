// After the guide's section on JavaScript.
import { authenticateUser } from 'kyc-auth'

try {
  const tokens = await authenticateUser(process.env.USERNAME, process.env.PASSWORD, 'staging')
  const response = await fetch(`${process.env.API_URL}/kyc`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${tokens.idToken}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ subject: { full_name: 'John Doe' }, list_name: 'ofac' }),
  })
  console.log((await response.json()).data.is_match, Object.keys(tokens).sort().join(), typeof tokens.expiresIn)
} catch (error) {
  console.error('Error:', error.message)
  console.log('Error:', error.message)
}
