package cognitotest_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/legaltalent/kyc-agent/agent/cognito/cognitotest"
)

func Example() {
	srv := cognitotest.New(cognitotest.Rotation(30 * time.Second))
	defer srv.Close()
	srv.AddUser(cognitotest.User{Name: "ada", Password: "Correct-Horse-1"})
	srv.FailNext(cognitotest.SignIn, 1, cognitotest.BadGateway())

	for range 2 {
		body := `{"AuthFlow":"USER_PASSWORD_AUTH","ClientId":"` + srv.ClientID + `",` +
			`"AuthParameters":{"USERNAME":"ada","PASSWORD":"Correct-Horse-1"}}`
		req, _ := http.NewRequest("POST", srv.URL, strings.NewReader(body))
		req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.InitiateAuth")
		res, err := srv.Client().Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = res.Body.Close()
		fmt.Println(res.Status)
	}
	fmt.Println(srv.Calls(cognitotest.SignIn), "calls,", srv.SignIns(), "sign-in")
	// Output:
	// 502 Bad Gateway
	// 200 OK
	// 2 calls, 1 sign-in
}
