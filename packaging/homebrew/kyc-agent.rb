# Homebrew's formula. `make release` writes the version and the checksum of the source
# tarball into the copy in dist/, which is the one for a tap.
class KycAgent < Formula
  desc "Agent for KYC API tokens: sign in once, then script"
  homepage "https://github.com/legaltalent/kyc-agent"
  url "https://github.com/legaltalent/kyc-agent/releases/download/@TAG@/kyc-agent-@VERSION@.tar.gz"
  sha256 "@SHA256@"
  license "Apache-2.0"

  depends_on "go" => :build

  def install
    system "make", "build", "share", "VERSION=@TAG@"
    bin.install "bin/kyc-agentd", "bin/kyc-token"
    %w[git-credential-kyc goauth-kyc terraform-credentials-kyc].each { |name| bin.install_symlink "kyc-token" => name }
    share.install Dir["bin/share/*"]
  end

  service do
    run [opt_bin/"kyc-agentd", "serve"]
    keep_alive true
    process_type :background
    log_path var/"log/kyc-agentd.log"
    error_log_path var/"log/kyc-agentd.log"
  end

  test do
    assert_match "@TAG@", shell_output("#{bin}/kyc-agentd version")
    assert_match "no agent", shell_output("#{bin}/kyc-token -socket #{testpath}/none 2>&1", 69)
  end
end
